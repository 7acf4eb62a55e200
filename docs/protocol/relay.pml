/* Relays, from any store to the other, as many as there are: nothing here keeps two from working at once. A relay that
   never goes on is a zombie; one that forgets everything has been started anew. */

inline forget_batch() {
    for (k : 0 .. KEYS - 1) { ids[k] = 0; seen[k] = 0 };
    skip
}

inline forget_relay() {
    if
    :: store[OTHER(from)].holder[0] == me -> store[OTHER(from)].holder[0] = NOBODY   /* nobody is left who knows that fence epoch */
    :: else
    fi;
    forget_batch();
    from = 0
}

inline take_fence(s) {
    from = s;
    store[OTHER(s)].holder[0] = me;
    printf("relay %d takes the fence of %c\n", me, NAME(OTHER(s)))
}

inline read_notes() {
    for (k : 0 .. KEYS - 1) { ids[k] = store[from].outbox[k] };
    printf("relay %d reads the notes of %c\n", me, NAME(from))
}

#ifdef SMALL_BATCHES
inline read_one_note() {
    byte lowest = store[from].outbox[0] | store[from].outbox[KEYS - 1];
    lowest = lowest & (256 - lowest);
    for (k : 0 .. KEYS - 1) { ids[k] = store[from].outbox[k] & lowest };
    printf("relay %d reads the oldest note of %c\n", me, NAME(from));
    lowest = 0
}
#endif

inline read_records() {
    for (k : 0 .. KEYS - 1) {
        seen[k] = store[from].record[k];
        printf("relay %d reads in %c: key %d is record %d\n", me, NAME(from), k, seen[k])
    };
    skip
}

inline apply() {
    for (k : 0 .. KEYS - 1) {
        if
        :: ids[k] != 0 ->
           store[OTHER(from)].record[k] = seen[k];
           printf("relay %d applies to %c: key %d is record %d\n", me, NAME(OTHER(from)), k, seen[k])
        :: else
        fi
    };
    check()
}

inline delete_notes() {
#ifdef DELETE_UP_TO_HIGHEST
    byte highest = ids[0] | ids[KEYS - 1];
    highest = highest | highest >> 1;
    highest = highest | highest >> 2;
    highest = highest | highest >> 4;   /* now it and every lower id */
#endif
    for (k : 0 .. KEYS - 1) {
#if defined(DELETE_UP_TO_HIGHEST)
        store[from].outbox[k] = store[from].outbox[k] & ~highest
#elif defined(DELETE_BY_KEY)
        store[from].outbox[k] = (ids[k] != 0 -> 0 : store[from].outbox[k])
#else
        store[from].outbox[k] = store[from].outbox[k] & ~ids[k]
#endif
    };
    printf("relay %d deletes its notes of %c\n", me, NAME(from));
    check()
}

#ifdef NO_FENCE_EPOCH
#define FENCE_HOLDS true
#else
#define FENCE_HOLDS (store[OTHER(from)].holder[0] == me)
#endif
#ifdef NO_ROLE_CHECK
#define ROLE_HOLDS true
#else
#define ROLE_HOLDS (store[OTHER(from)].role == mirror)
#endif
#ifdef FENCE_NOT_LOCKED
#define STILL_HOLDS ROLE_HOLDS
#endif
#ifdef ROLE_NOT_LOCKED
#define STILL_HOLDS FENCE_HOLDS
#endif

/* A writer has mirrored its key since: the fence is taken again, and what was read is read again while it is held. Here
   any relay may do so that is refused by a fence, whoever raised it; in the code one refused by another relay gives up. */
inline overtaken() {
    printf("relay %d is refused by %c\n", me, NAME(OTHER(from)));
    take_fence(from);
#ifndef OVERTAKEN_GOES_ON
    for (k : 0 .. KEYS - 1) { seen[k] = 0 };
#endif
    skip
}

#define MAY_HOLD (FENCE_IS_FREE(OTHER(from), 0) && ROLE_HOLDS)
#ifdef OVERTAKEN_GOES_ON
#define APPLIES_ANEW \
    if :: d_step { MAY_HOLD && FENCE_HOLDS -> apply() } :: DIES -> goto acquire fi
#else
#define APPLIES_ANEW \
    if :: d_step { MAY_HOLD -> LOCK(OTHER(from), 0); read_records() } :: DIES -> goto acquire fi; \
    if \
    :: d_step { UNLOCK(OTHER(from), 0); take_fence(from); apply() } \
    :: d_step { UNLOCK(OTHER(from), 0); forget_relay() } -> goto acquire \
    fi
#endif

#define DIES d_step { forget_relay() }

proctype Relay(byte me) {
    byte from, ids[KEYS], seen[KEYS];
acquire:
    if
    :: d_step { !EMPTY(A) && FENCE_IS_FREE(M, 0) -> take_fence(A) }
    :: d_step { !EMPTY(M) && FENCE_IS_FREE(A, 0) -> take_fence(M) }
    fi;
batch:
#ifdef RECORDS_BEFORE_NOTES
    if :: d_step { !EMPTY(from) -> read_records() } :: DIES -> goto acquire fi;
    if :: d_step { !EMPTY(from) -> read_notes() } :: DIES -> goto acquire fi;
#else
    if
    :: d_step { !EMPTY(from) -> read_notes() }
#ifdef SMALL_BATCHES
    :: d_step { !EMPTY(from) -> read_one_note() }
#endif
    :: DIES -> goto acquire
    fi;
    if :: d_step { read_records() } :: DIES -> goto acquire fi;
#endif
#ifdef DELETE_BEFORE_APPLYING
    if :: d_step { delete_notes() } :: DIES -> goto acquire fi;
#endif
    if
#ifdef STILL_HOLDS
    :: d_step { FENCE_HOLDS && ROLE_HOLDS -> printf("relay %d checks, without a lock\n", me) };
       if
       :: d_step { STILL_HOLDS -> apply() }
       :: DIES -> goto acquire
       fi
#else
    :: d_step { FENCE_IS_FREE(OTHER(from), 0) && FENCE_HOLDS && ROLE_HOLDS -> apply() }
#endif
#if INLINES
    :: d_step { FENCE_IS_FREE(OTHER(from), 0) && !FENCE_HOLDS && ROLE_HOLDS -> overtaken() };
       APPLIES_ANEW
#endif
#ifdef DELETE_AFTER_REFUSAL
    :: d_step { !(FENCE_HOLDS && ROLE_HOLDS) -> printf("relay %d is refused by %c\n", me, NAME(OTHER(from))) }
#endif
    :: DIES -> goto acquire
    fi;
#ifndef DELETE_BEFORE_APPLYING
    if :: d_step { delete_notes(); forget_batch() } :: DIES -> goto acquire fi;
#endif
    goto batch
}
