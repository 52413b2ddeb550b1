// The kernel of stochastic gradient descent, KERNEL, on the host.

#include "cuda_on_host.hpp"

static int STUDENTS, UNITS, FEATURES, OUTPUT, SINGLE, THREADS;

using std::exp;
using std::fabs;
using std::fmax;
using std::log;

#include KERNEL

extern "C" void normals(unsigned long long key, double* out, int count) {
    for (int index = 0; index < count; index++) out[index] = normal(key + (Word)(index + 1) * GAMMA);
}

struct Arguments {
    double *vectors, *outputs;
    const Word* keys;
    const double* law;
    long long batch, count;
};
static Arguments arguments;

static void call() {
    const double* law = arguments.law;
    descend_on_batches(arguments.vectors, arguments.outputs, arguments.keys, law[0], law[1], law[2], law[3], law[4],
                       law[5], law[6], arguments.batch, arguments.count);
}

extern "C" int run(const int* shape, int blocks, int shared_numbers, int backwards, double* vectors, double* outputs,
                   const unsigned long long* keys, const double* law, long long batch, long long count) {
    STUDENTS = shape[0], UNITS = shape[1], FEATURES = shape[2], OUTPUT = shape[3];
    SINGLE = shape[4], THREADS = shape[5];
    arguments = {vectors, outputs, keys, law, batch, count};
    return run_blocks(blocks, THREADS, shared_numbers, backwards, call);
}
