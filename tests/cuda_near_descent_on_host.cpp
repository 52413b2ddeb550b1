// The kernel of gradient descent near orthogonal teachers, KERNEL, on the host.

#include "cuda_on_host.hpp"

static int STUDENTS, UNITS, COORDINATES, OUTPUT, SEEDS, THREADS;

#include KERNEL

struct Arguments {
    double *vectors, *outputs, *scratch;
    long long* left;
    const double* law;
    const long long* counts;
};
static Arguments arguments;

static void call() {
    const double* law = arguments.law;
    const long long* counts = arguments.counts;
    descend_near(arguments.vectors, arguments.outputs, arguments.left, arguments.scratch, law[0], law[1], law[2],
                 law[3], law[4], counts[0], counts[1], counts[2], counts[3]);
}

extern "C" int run(const int* shape, int blocks, int backwards, double* vectors, double* outputs, long long* left,
                   double* scratch, const double* law, const long long* counts) {
    STUDENTS = shape[0], UNITS = shape[1], COORDINATES = shape[2], OUTPUT = shape[3];
    SEEDS = shape[4], THREADS = shape[5];
    arguments = {vectors, outputs, scratch, left, law, counts};
    return run_blocks(blocks, THREADS, 0, backwards, call);
}
