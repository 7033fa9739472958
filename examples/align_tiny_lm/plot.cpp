// SPDX-License-Identifier: Apache-2.0
//
// gnuplot is a program of its own, called without a shell: a directory name with a quote in it is
// a directory name. It writes to temporary names; a plot appears under its own when it is whole.

#include "plot.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <sstream>
#include <system_error>

namespace tiny {
namespace {

constexpr const char* heading =
    R"(# Draws curves.svg and sweep.svg, as .part, from the CSV files beside it.
set datafile separator comma
set border 3 lc rgb '#666666'
set tics nomirror
set grid lc rgb '#dddddd' lt 1
set style line 1 lw 2 lc rgb '#0072b2'
set style line 2 lw 2 lc rgb '#d55e00'
set style line 3 lw 2 lc rgb '#009e73'
set style line 4 lw 2 lc rgb '#cc79a7'
set style line 5 lw 2 lc rgb '#e69f00'
set style line 6 lw 2 lc rgb '#56b4e9'
)";

// One panel: a column of curves.csv over steps, one line per run. The run is told apart by its
// beta, which is what a sweep varies. Step 0 is left out where nothing has been decided yet.
void panel(std::ostringstream& out, const std::vector<plotted_run>& runs, const char* title,
           int column, const char* more, const char* from = "0") {
    out.precision(17);  // the beta of the script must be that of the CSV file
    out << "set title '" << title << "'\n" << more << "plot ";
    for (std::size_t i = 0; i < runs.size(); ++i) {
        out << (i == 0 ? "" : ", \\\n     ") << "'curves.csv' skip 1 using 4:(abs($2 - "
            << runs[i].beta << ") < 1e-9 && $4 >= " << from << " ? $" << column
            << " : 1/0) with lines ls " << i % 6 + 1 << " title '" << runs[i].name << "'";
    }
    out << "\n";
}

bool succeeded(const std::filesystem::path& directory) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::chdir(directory.c_str()) == 0) ::execlp("gnuplot", "gnuplot", "plot.gp", nullptr);
        ::_exit(127);
    }
    if (child < 0) return false;
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

std::string plot_script(const std::vector<plotted_run>& runs) {
    std::ostringstream out;
    out << heading;
    out << "set terminal svg size 860,560 font 'sans-serif,13' background '#ffffff'\n"
           "set output 'curves.svg.part'\n"
           "set multiplot layout 2,2\n"
           "set xlabel 'optimizer steps'\nset key top right samplen 2\n";
    panel(out, runs, "held-out loss", 7, "");
    panel(out, runs, "KL to the frozen start, nats per answer", 11, "set key off\n");
    panel(out, runs, "reward margin", 10, "");
    panel(out, runs, "held-out reward accuracy", 8, "set yrange [*<0.5:1.02]\n", "1");
    out << "unset multiplot\nset output\n";
    if (runs.size() > 1) {
        out << "set terminal svg size 560,400 font 'sans-serif,13' background '#ffffff'\n"
               "set output 'sweep.svg.part'\nset yrange [*<0.5:1.05]\nset offsets graph 0.1, "
               "graph 0.15, 0, 0\n"
               "set title 'reward accuracy against KL, one point per beta'\n"
               "set xlabel 'KL to the frozen start, nats per answer'\n"
               "set ylabel 'held-out reward accuracy'\n"
               "plot 'summary.csv' skip 2 using 9:6 with linespoints ls 1 pt 7 notitle, \\\n"
               "     '' skip 2 using 9:6:(sprintf('%g', $2)) with labels offset 0,1 notitle\n"
               "set output\n";
    }
    return out.str();
}

std::string run_gnuplot(const std::filesystem::path& directory, bool sweep) {
    std::error_code error;
    // What an earlier run drew would lie beside this run's figures.
    for (const char* const old : {"curves.svg", "sweep.svg"})
        std::filesystem::remove(directory / old, error);
    const bool drawn = succeeded(directory);
    for (const char* const name : {"curves.svg", "sweep.svg"}) {
        std::filesystem::path part = directory / name;
        part += ".part";
        if (drawn && (sweep || std::string(name) == "curves.svg")) {
            std::filesystem::rename(part, directory / name, error);
        } else {
            std::filesystem::remove(part, error);
        }
    }
    if (drawn) return "";
    return "No plots: gnuplot is missing or failed; the CSV files and plot.gp in " +
           directory.string() + " are complete.";
}

}  // namespace tiny
