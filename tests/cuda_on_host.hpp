// Runs a CUDA kernel on the host, with what it needs of the language: a fibre a CUDA thread, one block after
// another. Shared memory begins as NaN, has a guard behind it, and may be walked in either order of the threads: where
// a barrier is missing, the order shows in the numbers.

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

using std::fma;
using std::sqrt;

static double __dmul_rn(double x, double y) {  // a host without instructions for both at once fuses nothing
    return x * y;
}

#define __global__
#define __device__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__
#define RECIPROCAL_ROOT

// The device gives the upper half of a double, within its last bit; subnormal numbers count as 0.
static double reciprocal_root(double x) {
    if (x < std::numeric_limits<double>::min()) return std::numeric_limits<double>::infinity();
    double y = 1.0 / std::sqrt(x);
    std::uint64_t bits;
    std::memcpy(&bits, &y, 8);
    bits &= ~std::uint64_t{0xffffffff};
    std::memcpy(&y, &bits, 8);
    return y;
}

struct Index {
    int x;
};
static Index threadIdx, blockIdx;

static const int SPACE = 1 << 15, GUARD = 64;
alignas(16) double shared[SPACE + GUARD];

enum State { running, waiting, finished };
struct Fibre {
    ucontext_t context;
    std::vector<char> stack;
    State state;
    int line;
};
static std::vector<Fibre> fibres;
static ucontext_t scheduler;

static void wait(int line) {
    Fibre& current = fibres[threadIdx.x];
    current.state = waiting, current.line = line;
    swapcontext(&current.context, &scheduler);
}
#define __syncthreads() wait(__LINE__)

static void (*body_of_kernel)();

static void body() {
    body_of_kernel();
    fibres[threadIdx.x].state = finished;
}

// 0; 1 where threads do not meet at one barrier; 2 where shared memory is left; 3 where there is too little of it here.
static int run_blocks(int blocks, int threads, int used, int backwards, void (*kernel)()) {
    body_of_kernel = kernel;
    if (used > SPACE) return 3;
    fibres.resize(threads);
    for (int block = 0; block < blocks; block++) {
        for (int place = 0; place < SPACE + GUARD; place++)
            shared[place] = place < used ? std::numeric_limits<double>::quiet_NaN() : place;
        for (Fibre& fibre : fibres) {
            fibre.stack.resize(1 << 16);
            fibre.state = running;
            getcontext(&fibre.context);
            fibre.context.uc_stack.ss_sp = fibre.stack.data();
            fibre.context.uc_stack.ss_size = fibre.stack.size();
            fibre.context.uc_link = &scheduler;
            makecontext(&fibre.context, body, 0);
        }
        blockIdx.x = block;
        for (bool alive = true; alive;) {
            for (int turn = 0; turn < threads; turn++) {
                threadIdx.x = backwards ? threads - 1 - turn : turn;
                swapcontext(&scheduler, &fibres[threadIdx.x].context);
            }
            for (const Fibre& fibre : fibres)
                if (fibre.state != fibres[0].state || (fibre.state == waiting && fibre.line != fibres[0].line)) return 1;
            alive = fibres[0].state == waiting;
        }
        for (int place = used; place < SPACE + GUARD; place++)
            if (shared[place] != place) return 2;
    }
    return 0;
}
