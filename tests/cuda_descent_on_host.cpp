// The kernel of gradient descent, KERNEL, on the host.

#include "cuda_on_host.hpp"

static int STUDENTS, UNITS, COORDINATES, OUTPUT, SEEDS, THREADS, STRIDE;

#include KERNEL

extern "C" void angles(const double* squares, double* theta, double* sine, int count) {
    for (int index = 0; index < count; index++) theta[index] = angle(squares[index], sine + index);
}

struct Arguments {
    double *vectors, *outputs;
    long long* left;
    const double* law;
    const long long* counts;
};
static Arguments arguments;

static void call() {
    const double* law = arguments.law;
    const long long* counts = arguments.counts;
    descend(arguments.vectors, arguments.outputs, arguments.left, law[0], law[1], law[2], law[3], law[4], law[5],
            counts[0], counts[1], counts[2]);
}

extern "C" int run(const int* shape, int blocks, int backwards, double* vectors, double* outputs, long long* left,
                   const double* law, const long long* counts) {
    STUDENTS = shape[0], UNITS = shape[1], COORDINATES = shape[2], OUTPUT = shape[3];
    SEEDS = shape[4], THREADS = shape[5], STRIDE = shape[6];
    arguments = {vectors, outputs, left, law, counts};
    return run_blocks(blocks, THREADS, SEEDS * STRIDE, backwards, call);
}
