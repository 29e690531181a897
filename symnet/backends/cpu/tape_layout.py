"""The words that Python and native code share: pool, frame, step, instruction.

Everything is int64. A word is named by its index; addresses are stored as numbers. Only plain
constants here: the native text (tape_native.py) takes them in at compile time.
"""

WORD = 8  # bytes

# ---- pool: one per process, never freed ----
TURN = 0  # sequence << TICKET_BITS | tickets taken: the one word that threads compete for
SLEEPERS = 8  # workers that registered to sleep
FUTEX = 16  # int32 that sleepers wait on
BUSY = 24  # 1 while a region runs
FINISHED = 32  # 1 once the region is complete
FRAME = 40  # the region's frame; read by the thread that carries the region on
STARTED = 48  # threads that exist, the caller included
NO_THREADS = 49  # 1 after pthread_create failed
SPIN_NS = 50  # a thread that waits inside a region spins this long, then yields
LINGER_NS = 51  # a worker that waits inside a region sleeps after this long
IDLE_NS = 52  # a worker without a region sleeps after this long
FUTEX_CALL = 53  # number of the futex system call, or 0
SYSCALL = 54  # from here on addresses of C functions
YIELD = 55
CLOCK = 56
CLOCK_ID = 57
SLEEP = 58  # usleep, where there is no futex
CREATE = 59  # pthread_create; 0 where there are no such threads
DETACH = 60
SIGMASK = 61  # pthread_sigmask
SIG_SETMASK = 62  # the constant of that name
SIGNALS = 63  # address of the set of signals that workers block
WORTH_NS = 64  # a region that takes this long is worth waking sleepers for
BEGAN = 65  # when the region began, on the clock
ENDED = 66  # when the region before ended
EAGER = 67  # 1 if sleepers are to be woken from the region's begin
RECORDS = 128  # per thread: pool, thread number
RECORD = 2
MAX_THREADS = 256
SLOTS = 1024  # a ring of published steps
SLOT_COUNT = 64
SLOT = 24  # words per slot, DONE on a cache line of its own
POOL_WORDS = SLOTS + SLOT_COUNT * SLOT

FUTEX_WAIT, FUTEX_WAKE = 128, 129  # Linux, private to the process
SLEEP_US = 100

ALONE_MIN_NS, ALONE_MAX_NS = 2_000_000, 64_000_000  # length of a row of runs alone
SHORT_NS = 1_000_000  # shorter shared runs are compared with a run alone
LEARN_NS = 1_000_000_000  # so often at most
TRIAL = 4  # shared runs after a row alone: the first ones wake the workers

HALF_BITS = 12  # tickets taken from the front, and above them those taken from the back
TICKET_BITS = 2 * HALF_BITS
TICKETS = 1 << HALF_BITS  # a step has fewer slabs than this

SLOT_SLABS = 0
SLOT_THREADS = 1  # threads with a number below this may take part
SLOT_FN = 2
SLOT_ARGS = 3
SLOT_EXTENT = 4
SLOT_ALIGN = 5
SLOT_STEP = 6
SLOT_BEGIN = 7  # ns, when profiling
SLOT_DONE = 16  # slabs completed

# ---- frame: one per leased call ----
STATUS = 0
ERROR = 1  # id of the check that failed; looked at after steps that can fail
ERROR_A = 2
ERROR_B = 3
CODE = 4  # address of the shape program
N_CODE = 5  # instructions
REGISTERS = 6  # address of its registers
KEYS = 7  # address of pairs (register, expected value)
N_KEYS = 8
STEPS = 9  # address of the steps
N_STEPS = 10
SHARED_STEPS = 11  # how many steps have more than one slab; 0: the pool is not touched
THREADS = 12  # threads that the slabs were cut for
OBJECTS = 13  # address of PyObject addresses
POOL = 14
ARRAY_TYPE = 15  # address of the type numpy.ndarray
PROFILE = 16  # address of pairs (ns, calls) by STEP_INDEX, or 0
# a frame learns whether sharing its steps is worth it; times in ns, 0 while unknown
TOOK = 17  # the last shared run
SHARED_NS = 18  # what shared runs take of late
ALONE_NS = 19  # what the caller alone takes
ALONE_LEFT = 20  # runs to do alone from now on
ALONE_FOR = 21  # length of the last row of such runs
TRIAL_LEFT = 22  # shared runs until their time is judged
LEARNED = 23  # when ALONE_NS was last measured
FRAME_WORDS = 24

# ---- step of the tape ----
STEP_FN = 0
STEP_ARGS = 1
STEP_EXTENT = 2
STEP_SLABS = 3
STEP_ALIGN = 4  # interior slab bounds are rounded down to a multiple of this
STEP_FLAGS = 5
STEP_INDEX = 6  # row of the profile
STEP_WORDS = 8

# ---- argument block of the step `pair` ----
PAIR_FN = 0
PAIR_ARGS = 1
PAIR_NEXT_FN = 2
PAIR_NEXT_ARGS = 3
PAIR_SCALE = 4  # slab bounds of the second step per one of the first
PAIR_WORDS = 5

CAN_FAIL = 1  # the step may set ERROR

# ---- status of a call ----
OK = 0
SLOW = 1  # an argument is not what the fast path takes; ERROR_A is its number
REBIND = 2  # the sizes are not those that the steps were bound for
KERNEL_ERROR = 3  # a step set ERROR
CHECK = 4  # a check of the shape program failed: ERROR its id, ERROR_A and ERROR_B its operands

# ---- instruction of the shape program: op, dst, a, b, c, imm ----
INSTRUCTION = 6
(
    OP_CONST,  # dst <- imm
    OP_OBJ_CHECK,  # object dst: ndarray, dtype at address a, b dimensions, flags c; else SLOW
    OP_DIM,  # dst <- shape of object a, axis b
    OP_DATA,  # dst <- data address of object a
    OP_LOAD,  # dst <- integer of dtype code b at address r[a] + imm
    OP_RAW,  # dst <- int64 at the absolute address imm
    OP_STORE,  # int64 at the absolute address imm <- r[a]
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_FLOORDIV,  # as Python; by zero: CHECK with ERROR = imm
    OP_MOD,
    OP_MIN,
    OP_MAX,
    OP_NEG,
    OP_ABS,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_SELECT,  # dst <- r[a] if r[c] else r[b]
    OP_AND,
    OP_OR,
    OP_NOT,
    OP_CHECK_TRUE,  # unless r[a]: CHECK with ERROR = imm, ERROR_A = r[b], ERROR_B = r[c]
) = range(27)

# dtype codes of OP_LOAD
LOADS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

# ---- Python objects, in bytes (checked once against real ones) ----
OBJECT_HEADER = object.__basicsize__
TUPLE_SIZE = OBJECT_HEADER
TUPLE_ITEMS = tuple.__basicsize__
# PyArrayObject, after the header
ARRAY_DATA = 0
ARRAY_NDIM = 8
ARRAY_SHAPE = 16
ARRAY_DTYPE = 40
ARRAY_FLAGS = 48
C_CONTIGUOUS = 0x1
ALIGNED = 0x100
WRITEABLE = 0x400
