# ruff: noqa: F403, F405, SIM109
"""The native half of the pool and the tape, a word program (native.py): nothing imports this file.

The protocol is explained in pool.py, frames and shape programs in tape.py, every name of a word in
tape_layout.py. In short: TURN is (sequence, slabs taken). Slot `sequence % SLOT_COUNT` holds the
published step. A thread takes a slab by raising TURN, which also proves that what it read of the
slot was current; threads with even numbers take slabs from the front, the others from the back.
Who completes the last slab of a step carries the region on.
"""

from symnet.backends.cpu.tape_layout import *


def participate(record):
    """A thread's life in the pool.

    Thread 0 is the caller, which returns at the region's end: the ns that it spent waiting.
    """
    p, thread = record[0], record[1]
    if thread == 0:
        carry_on(p, 0, thread)
    tries, since, waited = 0, 0, 0
    while True:
        turn = atomic_load(p, TURN)
        slot = p + WORD * (SLOTS + SLOT * ((turn >> TICKET_BITS) % SLOT_COUNT))
        first, last = turn & (TICKETS - 1), (turn >> HALF_BITS) & (TICKETS - 1)
        slabs = atomic_load(slot, SLOT_SLABS)
        if first + last < slabs and thread < atomic_load(slot, SLOT_THREADS):
            # from the front or from the back, by thread: what a thread wrote in one step is then
            # mostly what it reads in the next, and lies in its own cache
            back = thread & 1
            if atomic_cas(p, TURN, turn, turn + (TICKETS if back else 1)) == turn:
                if since != 0:
                    waited += clock_ns(p[CLOCK], p[CLOCK_ID]) - since
                run_slab(p, slot, slabs - 1 - last if back else first, slabs, thread)
                tries, since = 0, 0
            continue
        if thread == 0 and atomic_load(p, FINISHED) != 0:
            return waited + (clock_ns(p[CLOCK], p[CLOCK_ID]) - since if since != 0 else 0)
        pause()
        tries += 1
        if tries & 15 == 0:
            now = clock_ns(p[CLOCK], p[CLOCK_ID])
            if since == 0:
                since = now
            if rest(p, turn, thread, now - since):
                tries, since = 0, 0


def run_slab(p, slot, ticket, slabs, thread):
    """Do a slab that this thread took: until it is done, the slot stays this step's."""
    extent, align = slot[SLOT_EXTENT], slot[SLOT_ALIGN]
    lo = bound(extent, ticket, slabs, align)
    hi = bound(extent, ticket + 1, slabs, align)
    call_void(slot[SLOT_FN], slot[SLOT_ARGS], lo, hi, thread)
    if atomic_add(slot, SLOT_DONE, 1) + 1 == slabs:
        frame, step = p[FRAME], slot[SLOT_STEP]
        s = frame[STEPS] + WORD * STEP_WORDS * step
        if frame[PROFILE] != 0:
            record_time(p, frame, s, slot[SLOT_BEGIN])
        carry_on(p, frame[N_STEPS] if failed(frame, s) else step + 1, thread)


def bound(extent, ticket, slabs, align):
    """Where slab `ticket` begins: an even cut, rounded down to a multiple of `align` inside."""
    at = extent * ticket // slabs
    return at - at % align if align > 1 and ticket < slabs else at


def failed(frame, s):
    return s[STEP_FLAGS] & CAN_FAIL != 0 and frame[ERROR] != 0


def record_time(p, frame, s, begin):
    row = frame[PROFILE] + WORD * 2 * s[STEP_INDEX]
    row[0] += clock_ns(p[CLOCK], p[CLOCK_ID]) - begin
    row[1] += 1


def carry_on(p, step, thread):
    """Run the steps of one slab from `step`, then publish the next one with several, or finish."""
    frame = p[FRAME]
    s = frame[STEPS] + WORD * STEP_WORDS * step
    while step < frame[N_STEPS] and s[STEP_SLABS] <= 1:
        run_whole(p, frame, s, thread)
        if failed(frame, s):
            step = frame[N_STEPS]
        step += 1
        s += WORD * STEP_WORDS
    if step >= frame[N_STEPS]:
        atomic_store(p, FINISHED, 1)
    else:
        publish(p, frame, s, step)


def run_whole(p, frame, s, thread):
    """All slabs of a step by this thread, in order."""
    begin = clock_ns(p[CLOCK], p[CLOCK_ID]) if frame[PROFILE] != 0 else 0
    extent, slabs, lo = s[STEP_EXTENT], s[STEP_SLABS], 0
    for ticket in range(1, slabs):
        hi = bound(extent, ticket, slabs, s[STEP_ALIGN])
        call_void(s[STEP_FN], s[STEP_ARGS], lo, hi, thread)
        lo = hi
    call_void(s[STEP_FN], s[STEP_ARGS], lo, extent, thread)
    if begin != 0:
        record_time(p, frame, s, begin)


def pair(args, lo, hi, thread):
    """A step of two: what the first made of this slab, the second works on at once (pairing.py)."""
    call_void(args[PAIR_FN], args[PAIR_ARGS], lo, hi, thread)
    scale = args[PAIR_SCALE]
    call_void(args[PAIR_NEXT_FN], args[PAIR_NEXT_ARGS], lo * scale, hi * scale, thread)


def publish(p, frame, s, step):
    """Put a step up for all threads. Only the thread that carries the region on comes here."""
    sequence = (atomic_load(p, TURN) >> TICKET_BITS) + 1
    slot = p + WORD * (SLOTS + SLOT * (sequence % SLOT_COUNT))
    slot[SLOT_FN], slot[SLOT_ARGS] = s[STEP_FN], s[STEP_ARGS]
    slot[SLOT_EXTENT], slot[SLOT_ALIGN] = s[STEP_EXTENT], s[STEP_ALIGN]
    slot[SLOT_STEP], slot[SLOT_DONE] = step, 0
    slot[SLOT_BEGIN] = clock_ns(p[CLOCK], p[CLOCK_ID]) if frame[PROFILE] != 0 else 0
    atomic_store(slot, SLOT_SLABS, s[STEP_SLABS])
    atomic_store(slot, SLOT_THREADS, frame[THREADS])
    # sequentially consistent: a worker first registers as sleeping, then looks at TURN again
    atomic_exchange(p, TURN, sequence << TICKET_BITS)
    sleeping = atomic_load(p, SLEEPERS)
    # a short call after a pause is over before a sleeper has woken; a long one, or one of a
    # row of calls, is not
    if sleeping > 0 and (p[EAGER] or clock_ns(p[CLOCK], p[CLOCK_ID]) - p[BEGAN] > p[IDLE_NS]):
        superfluous = max(p[STARTED] - frame[THREADS], 0)  # woken, they may not take part
        wake = min(sleeping, s[STEP_SLABS] - 1 + superfluous)
        atomic_add(p, SLEEPERS, -wake)
        atomic_add(p, FUTEX, 1)
        if p[FUTEX_CALL] != 0:
            call_variadic(p[SYSCALL], p[FUTEX_CALL], p + WORD * FUTEX, FUTEX_WAKE, wake, 0, 0, 0)


def rest(p, turn, thread, waited_ns):
    """What a thread does that found nothing to do for so long. Returns whether it slept."""
    inside = atomic_load(p, FINISHED) == 0
    if thread > 0 and waited_ns > (p[LINGER_NS] if inside else p[IDLE_NS]):
        seen = atomic_load(p, FUTEX)
        # the count may stay too high when TURN moved meanwhile: one needless wake-up later
        atomic_add(p, SLEEPERS, 1)
        if atomic_load(p, TURN) == turn:
            if p[FUTEX_CALL] != 0:
                address = p + WORD * FUTEX
                call_variadic(p[SYSCALL], p[FUTEX_CALL], address, FUTEX_WAIT, seen, 0, 0, 0)
            else:
                while atomic_load(p, FUTEX) == seen:
                    call_int(p[SLEEP], SLEEP_US)
        return 1
    if inside and waited_ns > p[SPIN_NS]:
        call_int(p[YIELD])
    return 0


def start_threads(p, threads):
    """Create workers until there are `threads` threads; where that fails, never try again."""
    before, handle = stack(16), stack(1)
    call_int(p[SIGMASK], p[SIG_SETMASK], p[SIGNALS], before)
    while p[STARTED] < min(threads, MAX_THREADS) and p[NO_THREADS] == 0:
        record = p + WORD * (RECORDS + RECORD * p[STARTED])
        record[0], record[1] = p, p[STARTED]
        if call_int(p[CREATE], handle, 0, participate, record) != 0:
            p[NO_THREADS] = 1
        else:
            call_int(p[DETACH], handle[0])
            p[STARTED] += 1
    call_int(p[SIGMASK], p[SIG_SETMASK], before, 0)


def call(frame):
    """One call: shape program, keys, steps. Returns the status."""
    frame[ERROR] = 0
    status = run_shapes(frame)
    if status == OK:
        status = check_keys(frame)
    if status == OK:
        status = run_steps(frame)
    frame[STATUS] = status
    return status


def check_keys(frame):
    registers, keys = frame[REGISTERS], frame[KEYS]
    for i in range(frame[N_KEYS]):
        if registers[keys[2 * i]] != keys[2 * i + 1]:
            return REBIND
    return OK


def run_steps(frame):
    p = frame[POOL]
    if frame[SHARED_STEPS] == 0 or frame[THREADS] <= 1:
        run_alone(p, frame)
    elif frame[ALONE_LEFT] == 0 and atomic_cas(p, BUSY, 0, 1) == 0:
        begin = clock_ns(p[CLOCK], p[CLOCK_ID])
        waited = run_shared(p, frame, begin)
        now = p[ENDED]
        atomic_store(p, BUSY, 0)
        weigh(frame, now, now - begin, waited)
    else:
        begin = clock_ns(p[CLOCK], p[CLOCK_ID])
        run_alone(p, frame)
        now = clock_ns(p[CLOCK], p[CLOCK_ID])
        learn_alone(frame, now, now - begin)
    return KERNEL_ERROR if frame[ERROR] != 0 else OK


def run_alone(p, frame):
    """The same slabs, in order, by the caller."""
    s = frame[STEPS]
    for _ in range(frame[N_STEPS]):
        run_whole(p, frame, s, 0)
        if failed(frame, s):
            break
        s += WORD * STEP_WORDS


def run_shared(p, frame, begin):
    """A region of the pool. Returns the ns that the caller spent waiting."""
    if p[STARTED] < frame[THREADS] and p[NO_THREADS] == 0:
        start_threads(p, frame[THREADS])
    took, pause_before = frame[TOOK], begin - p[ENDED]
    p[EAGER] = took == 0 or took > p[WORTH_NS] or pause_before < p[IDLE_NS]
    p[FRAME], p[BEGAN] = frame, begin
    atomic_store(p, FINISHED, 0)
    waited = participate(p + WORD * RECORDS)
    p[ENDED] = clock_ns(p[CLOCK], p[CLOCK_ID])
    return waited


def learn_alone(frame, now, took):
    """Note a run alone. One that was interrupted says little: the estimate rises slowly."""
    before = frame[ALONE_NS]
    frame[ALONE_NS] = took if before == 0 else min(took, before + before // 4)
    frame[LEARNED] = now
    if frame[ALONE_LEFT] > 0:
        frame[ALONE_LEFT] -= 1
        if frame[ALONE_LEFT] == 0 and frame[ALONE_FOR] > 0:
            frame[TRIAL_LEFT] = TRIAL


def weigh(frame, now, took, waited):
    """Learn from a shared run whether to share the next ones."""
    frame[TOOK] = took
    shared, alone = frame[SHARED_NS], frame[ALONE_NS]
    if frame[TRIAL_LEFT] > 0:
        frame[TRIAL_LEFT] -= 1
        if frame[TRIAL_LEFT] > 0:
            return
        shared = took
    if shared == 0:
        shared = took
    elif took < alone and took < shared:  # all is well again
        shared -= (shared - took) // 2
    else:
        shared += (took - shared) // 8
    frame[SHARED_NS] = shared
    if alone > 0 and shared > alone:
        longer = 2 * frame[ALONE_FOR] if took > alone else 0
        runs = min(max(longer, ALONE_MIN_NS // alone), ALONE_MAX_NS // alone) + 1
        frame[ALONE_FOR], frame[ALONE_LEFT] = runs, runs
    else:
        frame[ALONE_FOR] = 0
        doubtful = took < SHORT_NS or 2 * waited > took
        if doubtful and now - frame[LEARNED] > LEARN_NS:
            frame[ALONE_LEFT] = 1


def call_with(frame, items):
    """As `call`, after taking the objects from the tuple `items`."""
    objects, count = frame[OBJECTS], (items + TUPLE_SIZE)[0]
    for i in range(count):
        objects[i] = (items + TUPLE_ITEMS)[i]
    return call(frame)


def call_many(frame, count, table, rows, limit_ns):
    """Up to `count` calls; after each, every row (address, amount) of the table adds its amount.

    Returns how many calls were completed: fewer than `count` when one did not return OK (see
    STATUS), or when more than `limit_ns` has passed.
    """
    p = frame[POOL]
    begin = clock_ns(p[CLOCK], p[CLOCK_ID])
    for done in range(count):
        if call(frame) != OK:
            return done
        for row in range(rows):
            cell = table[2 * row]
            cell[0] += table[2 * row + 1]
        if clock_ns(p[CLOCK], p[CLOCK_ID]) - begin > limit_ns:
            return done + 1
    return count


def run_shapes(frame):
    """Interpret the frame's shape program."""
    r, objects, i = frame[REGISTERS], frame[OBJECTS], frame[CODE]
    for _ in range(frame[N_CODE]):
        op, dst, imm = i[0], i[1], i[5]
        if op == OP_CONST:
            r[dst] = imm
        elif op == OP_RAW:
            r[dst] = imm[0]
        elif op == OP_OBJ_CHECK:
            if not fits(frame, objects[dst], i[2], i[3], i[4]):
                frame[ERROR_A] = dst
                return SLOW
        elif op == OP_DIM:
            shape = (objects[i[2]] + OBJECT_HEADER + ARRAY_SHAPE)[0]
            r[dst] = shape[i[3]]
        elif op == OP_DATA:
            r[dst] = (objects[i[2]] + OBJECT_HEADER + ARRAY_DATA)[0]
        elif op == OP_LOAD:
            r[dst] = load_integer(r[i[2]] + imm, i[3])
        elif op == OP_STORE:
            imm[0] = r[i[2]]
        elif op == OP_CHECK_TRUE:
            if r[i[2]] == 0:
                frame[ERROR], frame[ERROR_A], frame[ERROR_B] = imm, r[i[3]], r[i[4]]
                return CHECK
        elif (op == OP_FLOORDIV or op == OP_MOD) and r[i[3]] == 0:
            frame[ERROR], frame[ERROR_A], frame[ERROR_B] = imm, r[i[2]], 0
            return CHECK
        else:
            r[dst] = combine(op, r[i[2]], r[i[3]], r[i[4]])
        i += WORD * INSTRUCTION
    return OK


def fits(frame, item, dtype, dimensions, flags):
    """Whether an object is an array of the dtype, number of dimensions and memory layout asked."""
    if (item + OBJECT_HEADER - WORD)[0] != frame[ARRAY_TYPE]:
        return 0
    array = item + OBJECT_HEADER
    return (
        (array + ARRAY_DTYPE)[0] == dtype
        and load_int32(array + ARRAY_NDIM) == dimensions
        and load_int32(array + ARRAY_FLAGS) & flags == flags
    )


def load_integer(address, dtype):
    """An integer from memory, by its number in LOADS."""
    if dtype == 4 or dtype == 8:
        return address[0]
    if dtype == 3:
        return load_int32(address)
    if dtype == 7:
        return load_uint32(address)
    if dtype == 2:
        return load_int16(address)
    if dtype == 6:
        return load_uint16(address)
    if dtype == 1:
        return load_int8(address)
    if dtype == 5:
        return load_uint8(address)
    return load_uint8(address) != 0


def combine(op, a, b, c):
    """The arithmetic of shape programs, wrapping as the machine does."""
    if op == OP_ADD:
        return a + b
    if op == OP_SUB:
        return a - b
    if op == OP_MUL:
        return a * b
    if op == OP_FLOORDIV:
        return -a if b == -1 else a // b  # the machine traps on the smallest number // -1
    if op == OP_MOD:
        return 0 if b == -1 else a % b
    if op == OP_MIN:
        return min(a, b)
    if op == OP_MAX:
        return max(a, b)
    if op == OP_NEG:
        return -a
    if op == OP_ABS:
        return -a if a < 0 else a
    if op == OP_EQ:
        return a == b
    if op == OP_NE:
        return a != b
    if op == OP_LT:
        return a < b
    if op == OP_LE:
        return a <= b
    if op == OP_GT:
        return a > b
    if op == OP_GE:
        return a >= b
    if op == OP_SELECT:
        return a if c != 0 else b
    if op == OP_AND:
        return a != 0 and b != 0
    if op == OP_OR:
        return a != 0 or b != 0
    if op == OP_NOT:
        return a == 0
    return 0
