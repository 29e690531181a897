"""CUDA on the host: what lets a C++ compiler build the text of kernels and a process run it.

`RUNTIME` is a library that runs the threads of a block one after the other. Where they wait for
each other (barriers, exchanges within a warp) each has a stack of its own, and the library
switches between them. It is stricter than hardware: threads that wait at different barriers, or
for lanes that have left, are an error, and so are packs that are not aligned. Blocks and threads
run upwards or downwards, so a text whose result depends on the order gives itself away.

`HEADER` goes before the text of the kernels, `launcher` after it.
"""

HEADER = """\
#include <stddef.h>
struct symnet_dim { unsigned int x, y, z; };
extern "C" symnet_dim symnet_grid, symnet_block, symnet_thread;
extern "C" unsigned char* symnet_dynamic;
extern "C" void symnet_misaligned(const void* p, size_t bytes);
extern "C" void symnet_meet(int line);
extern "C" unsigned long long symnet_exchange(unsigned long long x, int distance, int line);
extern "C" unsigned int symnet_vote(int yes, int line);
extern "C" int symnet_run(void (*body)(void*), void* context, unsigned int grid,
                          unsigned int threads, size_t shared, int meets, int downwards);
#define SYMNET_CHECK_ALIGNED(p, bytes) \\
    do { if ((size_t)(p) % (bytes)) { symnet_misaligned(p, bytes); } } while (0)
#define gridDim symnet_grid
#define blockIdx symnet_block
#define threadIdx symnet_thread
#define __global__
#define __shared__ static
#define __launch_bounds__(...)
#define __syncthreads() symnet_meet(__LINE__)
#define __shfl_xor_sync(mask, x, distance) symnet_shuffle(x, distance, __LINE__)
#define __ballot_sync(mask, yes) symnet_vote(yes, __LINE__)
#define __popc(x) __builtin_popcount(x)
template <typename T> static inline T symnet_shuffle(T x, int distance, int line)
{
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &x, sizeof(T));
    bits = symnet_exchange(bits, distance, line);
    __builtin_memcpy(&x, &bits, sizeof(T));
    return x;
}
static inline unsigned long long atomicCAS(unsigned long long* p, unsigned long long expected,
                                           unsigned long long value)
{
    const unsigned long long old = *p;
    if (old == expected) *p = value;
    return old;
}
"""

RUNTIME = r"""
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct symnet_dim { unsigned int x, y, z; };
extern "C" {
symnet_dim symnet_grid, symnet_block, symnet_thread;
unsigned char* symnet_dynamic;
char symnet_complaint[200];
}

enum { MOST = 1024, STACK = 1 << 16, WARP = 32 };
enum State { READY, AT_BARRIER, IN_EXCHANGE, DONE };

struct Thread {
    ucontext_t context;
    jmp_buf place;
    bool begun;
    State state;
    int line, turn;
};

static Thread threads[MOST];
static jmp_buf scheduler;
static char* stacks;
static unsigned int current;
static void (*body_of)(void*);
static void* context_of;
static unsigned long long slots[MOST / WARP][2][WARP];

static bool misaligned;

extern "C" void symnet_misaligned(const void* p, size_t bytes)
{
    if (!misaligned)
        snprintf(symnet_complaint, sizeof symnet_complaint,
                 "an access of %zu bytes at %p, which is not aligned", bytes, p);
    misaligned = true;
}

static void begin()
{
    body_of(context_of);
    threads[current].state = DONE;
    _longjmp(scheduler, 1);
}

static void wait_as(State state, int line)
{
    Thread& mine = threads[current];
    mine.state = state;
    mine.line = line;
    if (_setjmp(mine.place) == 0) _longjmp(scheduler, 1);
}

extern "C" void symnet_meet(int line) { wait_as(AT_BARRIER, line); }

/* what the lanes of a warp gave, when all have come */
static const unsigned long long* gather(unsigned long long x, int line)
{
    Thread& mine = threads[current];
    unsigned long long(*values)[WARP] = slots[current / WARP];
    const int turn = mine.turn, lane = current % WARP;
    mine.turn = 1 - turn;
    values[turn][lane] = x;
    wait_as(IN_EXCHANGE, line);
    return values[turn];
}

extern "C" unsigned long long symnet_exchange(unsigned long long x, int distance, int line)
{
    const int lane = current % WARP;
    return gather(x, line)[lane ^ distance];
}

extern "C" unsigned int symnet_vote(int yes, int line)
{
    const unsigned long long* const votes = gather(yes, line);
    unsigned int all = 0;
    for (int k = 0; k < WARP; k++) all |= (unsigned int)(votes[k] != 0) << k;
    return all;
}

static void resume(unsigned int number)
{
    Thread& next = threads[number];
    current = number;
    symnet_thread = {number, 0, 0};
    next.state = READY;
    if (_setjmp(scheduler) != 0) return;
    if (next.begun) _longjmp(next.place, 1);
    next.begun = true;
    getcontext(&next.context);
    next.context.uc_stack.ss_sp = stacks + (size_t)number * STACK;
    next.context.uc_stack.ss_size = STACK;
    next.context.uc_link = 0;
    makecontext(&next.context, begin, 0);
    setcontext(&next.context);
}

/* whether threads [first, last) all wait in this state, at one place; then they are ready */
static bool release(unsigned int first, unsigned int last, State state)
{
    for (unsigned int k = first; k < last; k++)
        if (threads[k].state != state || threads[k].line != threads[first].line) return false;
    for (unsigned int k = first; k < last; k++) threads[k].state = READY;
    return true;
}

static bool run_block(unsigned int count, bool downwards)
{
    for (unsigned int k = 0; k < count; k++) {
        threads[k].begun = false;
        threads[k].state = READY;
        threads[k].turn = 0;
    }
    for (;;) {
        for (unsigned int n = 0; n < count; n++) {
            const unsigned int k = downwards ? count - 1 - n : n;
            if (threads[k].state == READY) resume(k);
        }
        bool done = true, moved = false;
        for (unsigned int k = 0; k < count; k++) done &= threads[k].state == DONE;
        if (done) return true;
        for (unsigned int k = 0; k < count; k += WARP) moved |= release(k, k + WARP, IN_EXCHANGE);
        if (!moved && !release(0, count, AT_BARRIER)) {
            unsigned int k = 0;
            while (threads[k].state == DONE) k++;
            snprintf(symnet_complaint, sizeof symnet_complaint,
                     "thread %u of block %u waits in line %d for others that do not come", k,
                     symnet_block.x, threads[k].line);
            return false;
        }
    }
}

extern "C" int symnet_run(void (*body)(void*), void* context, unsigned int grid,
                          unsigned int count, size_t shared, int meets, int downwards)
{
    unsigned char* const memory = (unsigned char*)aligned_alloc(64, (shared + 127) / 64 * 64);
    if (!stacks && meets)
        stacks = (char*)mmap(0, (size_t)MOST * STACK, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    symnet_grid = {grid, 1, 1};
    symnet_dynamic = memory;
    body_of = body;
    context_of = context;
    bool fine = true;
    misaligned = false;
    for (unsigned int n = 0; n < grid && fine; n++) {
        symnet_block = {downwards ? grid - 1 - n : n, 0, 0};
        memset(memory, 0xff, shared);
        if (meets) {
            fine = run_block(count, downwards);
        } else {
            for (unsigned int m = 0; m < count; m++) {
                symnet_thread = {downwards ? count - 1 - m : m, 0, 0};
                body(context);
            }
        }
    }
    free(memory);
    return fine && !misaligned ? 0 : 1;
}
"""


def launcher(entry: str, words: int, meets: bool) -> str:
    """The C function `ENTRY_launch(words, live, error, grid, threads, shared, downwards)`."""
    return f"""\
struct {entry}_context {{ symnet_words<{words}> words; const long long* live; long long* error; }};
static void {entry}_body(void* given)
{{
    const {entry}_context* const c = ({entry}_context*)given;
    {entry}(c->words, c->live, c->error);
}}
extern "C" int {entry}_launch(const void* words, const long long* live, long long* error,
                              unsigned int grid, unsigned int threads, size_t shared,
                              int downwards)
{{
    {entry}_context context;
    __builtin_memcpy(&context.words, words, sizeof context.words);
    context.live = live;
    context.error = error;
    return symnet_run({entry}_body, &context, grid, threads, shared, {int(meets)}, downwards);
}}
"""
