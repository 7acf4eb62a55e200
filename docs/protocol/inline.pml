/* Writers that mirror what they wrote, after their commit; anybody who wants a key carried may do the same, at any time.
   In one transaction on the mirror such a writer takes the role and the fence of its key's partition, reads the record
   while it holds them, and applies it. It never comes back to that fence, so nobody has the newest epoch then.

   Holding and reading are one step here: what others could do in between, they could do before, and more.

   FENCES_FIRST is the other order, that of a few records: the fence is held before the notes are taken, which are taken
   in one message with the records, and by an earlier snapshot. */

inline take_key(s) {
    from = s;
    ids = store[s].outbox[key];
    printf("writer %d takes the notes of its key in %c\n", me, NAME(s))
}

inline read_record() {
    seen = store[from].record[key];
    printf("writer %d reads in %c: key %d is record %d\n", me, NAME(from), key, seen)
}

inline hold_fence() {
    LOCK(OTHER(from), FENCE(key));
    printf("writer %d holds the fence of %c\n", me, NAME(OTHER(from)))
}

inline raise_fence() {
    store[OTHER(from)].holder[FENCE(key)] = NOBODY;
    printf("writer %d raises the fence of %c\n", me, NAME(OTHER(from)))
}

inline mirror_record() {
#ifndef INLINE_RAISES_NOTHING
    raise_fence();
#endif
    UNLOCK(OTHER(from), FENCE(key));
    store[OTHER(from)].record[key] = seen;
    printf("writer %d applies to %c: key %d is record %d\n", me, NAME(OTHER(from)), key, seen);
    check();
    seen = 0
}

inline delete_own_notes() {
#ifdef INLINE_DELETES_BY_KEY
    store[from].outbox[key] = 0;
#else
    store[from].outbox[key] = store[from].outbox[key] & ~ids;
#endif
    printf("writer %d deletes its notes of %c\n", me, NAME(from));
    check();
    ids = 0; from = 0
}

inline forget_inline() { ids = 0; seen = 0; from = 0 }

#ifdef INLINE_NO_ROLE_CHECK
#define MAY_MIRROR_INTO(m) FENCE_IS_FREE(m, FENCE(key))
#else
#define MAY_MIRROR_INTO(m) (store[m].role == mirror && FENCE_IS_FREE(m, FENCE(key)))
#endif
#define MAY_MIRROR MAY_MIRROR_INTO(OTHER(from))
#define HAS_WRITTEN(s) (store[s].capture && store[s].next > 0)
#define LETS_GO d_step { UNLOCK(OTHER(from), FENCE(key)); forget_inline() }
#define LEAVES_IT d_step { forget_inline() }

proctype Inline(byte me, key) {
    byte from, ids, seen;
begin:
#if defined(FENCES_FIRST) || defined(INLINE_RECORDS_FIRST)
    if
    :: d_step { HAS_WRITTEN(A) && MAY_MIRROR_INTO(M) -> from = A; hold_fence() }
    :: d_step { HAS_WRITTEN(M) && MAY_MIRROR_INTO(A) -> from = M; hold_fence() }
    fi;
#ifdef INLINE_RECORDS_FIRST
    if :: d_step { read_record() } :: LETS_GO -> goto begin fi;
#endif
    if :: d_step { store[from].capture -> take_key(from) } :: LETS_GO -> goto begin fi;
#ifndef INLINE_RECORDS_FIRST
    if :: d_step { read_record() } :: LETS_GO -> goto begin fi;
#endif
    if :: d_step { mirror_record() } :: LETS_GO -> goto begin fi;
#else
    if
    :: d_step { HAS_WRITTEN(A) -> take_key(A) }
    :: d_step { HAS_WRITTEN(M) -> take_key(M) }
    fi;
#if defined(INLINE_READS_BEFORE)
    if :: d_step { read_record() } :: LEAVES_IT -> goto begin fi;
    if :: d_step { MAY_MIRROR -> mirror_record() } :: LEAVES_IT -> goto begin fi;
#elif defined(INLINE_LETS_GO)
    if :: d_step { MAY_MIRROR -> raise_fence(); read_record() } :: LEAVES_IT -> goto begin fi;
    if :: d_step { MAY_MIRROR -> mirror_record() } :: LEAVES_IT -> goto begin fi;
#else
    if :: d_step { MAY_MIRROR -> hold_fence(); read_record() } :: LEAVES_IT -> goto begin fi;
    if :: d_step { mirror_record() } :: LETS_GO -> goto begin fi;
#endif
#endif
    if :: d_step { delete_own_notes() } :: LEAVES_IT fi;
    goto begin
}
