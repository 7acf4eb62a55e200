/* Operators: anybody who begins, finishes or gives up a switch: a command, a sweep, a health check. An operator looks at
   a fenced store, knows from then on its epoch and whether it was drained, and acts on that now, later or never. The
   first step of a switch needs no knowledge; whoever took it goes on by looking, as everybody else does. */

#ifdef NO_EXCLUSIVE_LOCK
#define FENCE_LOCK(s) true
#else
#define FENCE_LOCK(s) ALONE(s)
#endif
#ifdef NOT_ONLY_BACKFILLED
#define COMPLETE(s) (store[s].capture)
#else
#define COMPLETE(s) (store[s].capture && store[s].backfilled)
#endif

inline fence(s) {
    store[s].role = fenced;
    store[s].epoch++;
    changed(s);
    printf("%c is fenced at epoch %d\n", NAME(s), store[s].epoch);
    check()
}

inline look(s) {
    side = s;
    e = store[s].epoch;
    drained = EMPTY(s);
    printf("operator %d sees %c fenced at %d, drained %d\n", _pid, NAME(s), e, drained)
}

#define PEER store[OTHER(side)]
#define HERE store[side]

/* Promote and burn: whichever comes first in the mirror decides what becomes of epoch e. */

#define MIRRORS (PEER.role == mirror && ROLE_IS_FREE(OTHER(side)))
#ifdef NO_EPOCH_IN_PROMOTE
#define MAY_PROMOTE MIRRORS
#else
#define MAY_PROMOTE (MIRRORS && PEER.epoch < e)
#endif
#ifdef NO_EPOCH_IN_BURN
#define MAY_BURN (MIRRORS && PEER.epoch != e)
#else
#define MAY_BURN (MIRRORS && PEER.epoch < e)
#endif
#ifdef NO_DRAIN
#define WAS_DRAINED true
#else
#define WAS_DRAINED drained
#endif

inline promote() {
    PEER.role = authority;
    PEER.epoch = e;
#ifndef NO_CAPTURE_AT_PROMOTE
    PEER.capture = 1;
#endif
    PEER.backfilled = 1;
#ifdef AS_BUILT
    PEER.generation++;
#endif
    changed(OTHER(side));
    printf("operator %d promotes %c at %d\n", _pid, NAME(OTHER(side)), e);
    check()
}

inline burn() {
    PEER.epoch = e;
    changed(OTHER(side));
    printf("operator %d burns epoch %d in %c\n", _pid, e, NAME(OTHER(side)))
}

/* Revert and demote need evidence from the other store, read in an earlier transaction. */

#ifdef NO_BURN
#define SEEN_BURNT (PEER.role == mirror && PEER.epoch <= e)
#else
#define SEEN_BURNT (PEER.role == mirror && PEER.epoch == e)
#endif
#define SEEN_PROMOTED ((PEER.role == authority && PEER.epoch >= e) || (PEER.role == fenced && PEER.epoch > e))

#ifdef NO_EPOCH_IN_REVERT
#define MAY_REVERT (HERE.role == fenced)
#else
#define MAY_REVERT (HERE.role == fenced && HERE.epoch == e)
#endif
#ifdef NO_EPOCH_IN_DEMOTE
#define MAY_DEMOTE (HERE.role == fenced)
#else
#define MAY_DEMOTE (HERE.role == fenced && HERE.epoch == e)
#endif

inline revert() {
    HERE.role = authority;
    changed(side);
    printf("operator %d reverts %c\n", _pid, NAME(side));
    check()
}

inline demote() {
    HERE.role = mirror;
#ifdef AS_BUILT
    HERE.capture = 0;
    HERE.backfilled = 0;
#endif
#ifndef NO_FENCE_RAISED_AT_DEMOTE
    RAISE_FENCES(side);
#endif
    changed(side);
    printf("operator %d demotes %c\n", _pid, NAME(side));
    check()
}

inline forget_operator() { side = 0; e = 0; drained = 0 }

proctype Operator() {
    byte side, e;
    bit drained;
idle:
    if
    :: d_step { store[A].role == authority && COMPLETE(A) && store[A].epoch < EPOCHS && FENCE_LOCK(A) -> fence(A) };
       goto idle
    :: d_step { store[M].role == authority && COMPLETE(M) && store[M].epoch < EPOCHS && FENCE_LOCK(M) -> fence(M) };
       goto idle
    :: d_step { store[A].role == fenced -> look(A) }
    :: d_step { store[M].role == fenced -> look(M) }
    fi;
    if
    :: d_step { WAS_DRAINED && MAY_PROMOTE -> promote(); forget_operator() }
    :: d_step { MAY_BURN -> burn(); forget_operator() }
    :: d_step { SEEN_BURNT -> printf("operator %d sees %c the mirror at %d\n", _pid, NAME(OTHER(side)), PEER.epoch); drained = 0 };
       if
       :: d_step { MAY_REVERT -> revert(); forget_operator() }
       :: d_step { forget_operator() }
       fi
    :: d_step { SEEN_PROMOTED -> printf("operator %d sees %c promoted at %d\n", _pid, NAME(OTHER(side)), PEER.epoch); drained = 0 };
       if
       :: d_step { MAY_DEMOTE -> demote(); forget_operator() }
       :: d_step { forget_operator() }
       fi
    :: d_step { forget_operator() }
    fi;
    goto idle
}
