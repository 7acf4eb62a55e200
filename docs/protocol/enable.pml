/* Enable and disable, each step as late as it likes. */

#ifdef NO_EXCLUSIVE_LOCK_AT_ENABLE
#define ENABLE_LOCK(s) true
#else
#define ENABLE_LOCK(s) ALONE(s)
#endif
#ifdef NO_GENERATION
#define MY_GENERATION true
#else
#define MY_GENERATION (store[side].generation == mine)
#endif
#ifdef AS_BUILT
#define ENABLING (store[side].role == authority && store[side].capture && MY_GENERATION)
#else
#define ENABLING (store[side].role == authority && MY_GENERATION)
#endif

inline forget_keys() {
    for (k : 0 .. KEYS - 1) { listed[k] = 0 }
}

inline forget_enabler() {
    forget_keys();
#ifdef AS_BUILT
    known = 0;
#endif
    side = 0;
    mine = 0
}

inline capture_on() {
    store[side].capture = 1;
    store[side].backfilled = 0;
    store[side].generation++;
    mine = store[side].generation;
#ifdef AS_BUILT
    known = store[side].epoch;
#endif
    changed(side);
    printf("enabler %d switches capture on in %c, generation %d\n", _pid, NAME(side), mine);
    check()
}

/* Become the mirror: every relay that worked before is refused from now on. */
#define MAY_FOLLOW (ROLE_IS_FREE(OTHER(side)) && (store[OTHER(side)].role == detached || store[OTHER(side)].role == mirror))
inline follow() {
    store[OTHER(side)].role = mirror;
#ifdef AS_BUILT
    store[OTHER(side)].capture = 0;
    store[OTHER(side)].backfilled = 0;
    store[OTHER(side)].epoch = (store[OTHER(side)].epoch < known -> known : store[OTHER(side)].epoch);
#endif
#ifndef NO_FENCE_RAISED_AT_ENABLE
    RAISE_FENCES(OTHER(side));
#endif
    changed(OTHER(side));
    printf("enabler %d makes %c the mirror\n", _pid, NAME(OTHER(side)));
    check()
}

#ifdef NO_UNION
#define IN_MIRROR 0
#else
#define IN_MIRROR (store[OTHER(side)].record[k] != ABSENT)
#endif
inline list_keys_of_mirror() {
    for (k : 0 .. KEYS - 1) { listed[k] = listed[k] || IN_MIRROR };
    printf("enabler %d lists the keys of %c\n", _pid, NAME(OTHER(side)))
}

#ifdef CAPTURE_AFTER_LISTING
inline list_keys_of_authority(s) {
    side = s;
    for (k : 0 .. KEYS - 1) { listed[k] = store[side].record[k] != ABSENT };
    printf("enabler %d lists the keys of %c\n", _pid, NAME(side))
}
#define TO_NOTE listed[k]
#else
#define TO_NOTE (listed[k] || store[side].record[k] != ABSENT)
#endif
inline fill() {
    for (k : 0 .. KEYS - 1) {
        if
        :: TO_NOTE ->
           assert(store[side].next < IDS);
           store[side].outbox[k] = store[side].outbox[k] | (1 << store[side].next);
           store[side].next++
        :: else
        fi
    };
    forget_keys();
    printf("enabler %d notes the keys of both stores in %c\n", _pid, NAME(side));
    check()
}

inline complete() {
    store[side].backfilled = 1;
    changed(side);
    printf("enabler %d declares %c backfilled\n", _pid, NAME(side));
    check()
}

/* Without the lock: a writer under way only notes what need not be noted. What is noted may be dropped, too. */
inline capture_off(s) {
    store[s].capture = 0;
    store[s].backfilled = 0;
    store[s].generation++;
    changed(s);
    printf("capture is switched off in %c\n", NAME(s))
}

inline drop_notes(s) {
    for (k : 0 .. KEYS - 1) { store[s].outbox[k] = 0 };
    printf("the notes of %c are dropped\n", NAME(s));
    check()
}

#ifdef AS_BUILT
#define LAST_GENERATION(s) (GENERATIONS + store[s].epoch)   /* a promotion begins one, too */
#else
#define LAST_GENERATION(s) GENERATIONS
#endif
#define MAY_BEGIN(s) (store[s].role == authority && store[s].generation < LAST_GENERATION(s))
#ifdef DISABLE_WHEN_FENCED
#define MAY_DISABLE(s) (store[s].capture && store[s].generation < LAST_GENERATION(s) && \
                        (store[s].role == authority || store[s].role == fenced))
#else
#define MAY_DISABLE(s) (store[s].capture && MAY_BEGIN(s))
#endif
#define GIVES_UP d_step { forget_enabler() }

proctype Enabler() {
    byte side, mine;
#ifdef AS_BUILT
    byte known;
#endif
    bit listed[KEYS];
idle:
    if
    :: d_step { MAY_DISABLE(A) -> capture_off(A) }; goto idle
    :: d_step { MAY_DISABLE(M) -> capture_off(M) }; goto idle
    :: d_step { MAY_DISABLE(A) -> capture_off(A); drop_notes(A) }; goto idle
    :: d_step { MAY_DISABLE(M) -> capture_off(M); drop_notes(M) }; goto idle
#ifdef DROP_LATER
    :: d_step { MAY_DISABLE(A) -> capture_off(A) };
       if :: d_step { drop_notes(A) } :: GIVES_UP fi;
       goto idle
#endif
#if defined(CAPTURE_AFTER_LISTING)
    :: d_step { MAY_BEGIN(A) -> list_keys_of_authority(A) }
    :: d_step { MAY_BEGIN(M) -> list_keys_of_authority(M) }
    fi;
    if :: d_step { MAY_BEGIN(side) && ENABLE_LOCK(side) -> capture_on() } :: GIVES_UP -> goto idle fi;
    if :: d_step { MAY_FOLLOW -> follow() } :: GIVES_UP -> goto idle fi;
#elif defined(MIRROR_BEFORE_CAPTURE)
    :: d_step { MAY_BEGIN(A) -> side = A }
    :: d_step { MAY_BEGIN(M) -> side = M }
    fi;
    if :: d_step { MAY_FOLLOW -> follow() } :: GIVES_UP -> goto idle fi;
    if :: d_step { MAY_BEGIN(side) && ENABLE_LOCK(side) -> capture_on() } :: GIVES_UP -> goto idle fi;
#else
    :: d_step { MAY_BEGIN(A) && ENABLE_LOCK(A) -> side = A; capture_on() }
    :: d_step { MAY_BEGIN(M) && ENABLE_LOCK(M) -> side = M; capture_on() }
    fi;
#ifdef LISTING_BEFORE_MIRROR
    if :: d_step { list_keys_of_mirror() } :: GIVES_UP -> goto idle fi;
#endif
    if :: d_step { MAY_FOLLOW -> follow() } :: GIVES_UP -> goto idle fi;
#endif
#ifndef LISTING_BEFORE_MIRROR
    if :: d_step { list_keys_of_mirror() } :: GIVES_UP -> goto idle fi;
#endif
    if :: d_step { ENABLING -> fill() } :: GIVES_UP -> goto idle fi;
    if :: d_step { ENABLING -> complete(); forget_enabler() } :: GIVES_UP fi;
    goto idle
}
