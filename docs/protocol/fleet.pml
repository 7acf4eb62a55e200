/* Several relays share the partitions of one stream, and each reads one batch ahead: while batch n is applied it takes
   and reads batch n + 1, which is applied after it, under the same fences. What was read ahead is dropped whenever the
   relay gives a partition away, takes one, or is refused. (A relay that pauses only sleeps, so need not drop it.)

   A partition is given away between two batches. Nothing else keeps two from having the same one: each may take any
   partition at any time, from one that sleeps. The fence of a partition is compared for those that the relay has. */

#define HAS(p) ((mine & (1 << (p))) != 0)
#define FENCES_FREE(s) ((store[s].locked & mine) == 0)
#if PARTITIONS == 2
#define FENCES_HOLD (mine != 0 && (!HAS(0) || PEER_HOLDER(0) == me) && (!HAS(1) || PEER_HOLDER(1) == me))
#else
#define FENCES_HOLD (mine != 0 && PEER_HOLDER(0) == me)
#endif
#define PEER_HOLDER(p) store[OTHER(from)].holder[p]
#define MIRRORED (store[OTHER(from)].role == mirror && FENCES_FREE(OTHER(from)))
/* Of the partitions that it has, the notes that it has not taken yet. */
#define TO_TAKE(k) (HAS(FENCE(k)) -> store[from].outbox[k] & ~ids[k] : 0)
#if KEYS == 2
#define NOTHING_TO_TAKE (TO_TAKE(0) == 0 && TO_TAKE(1) == 0)
#else
#define NOTHING_TO_TAKE (TO_TAKE(0) == 0)
#endif

/* How far it is with the batch ahead. */
#define NOT_TAKEN 0
#define TAKEN_ONLY 1
#define READ 2

inline drop_ahead() {
    for (k : 0 .. KEYS - 1) { next_ids[k] = 0; next_seen[k] = 0 };
    ahead = NOT_TAKEN
}

inline fleet_forgets_batch() {
    for (k : 0 .. KEYS - 1) { ids[k] = 0; seen[k] = 0 };
    skip
}

inline has_no_more(p) {
    if
    :: PEER_HOLDER(p) == me -> PEER_HOLDER(p) = NOBODY
    :: else
    fi
}

inline fleet_forgets() {
    has_no_more(0);
#if PARTITIONS == 2
    has_no_more(1);
#endif
    fleet_forgets_batch();
    drop_ahead();
    mine = 0;
    from = 0
}

inline take_partition(s, p) {
    from = s;
    PEER_HOLDER(p) = me;
    mine = mine | (1 << p);
#ifndef AHEAD_KEPT
    drop_ahead();
#endif
    printf("relay %d takes partition %d of %c\n", me, p, NAME(from))
}

inline give_partition(p) {
    has_no_more(p);
    mine = mine & ~(1 << p);
#if !defined(AHEAD_KEPT) && !defined(AHEAD_KEPT_WHEN_GIVEN)
    drop_ahead();
#endif
    printf("relay %d gives partition %d of %c away\n", me, p, NAME(from))
}

inline take_batch() {
    for (k : 0 .. KEYS - 1) { next_ids[k] = TO_TAKE(k) };
    ahead = TAKEN_ONLY;
    printf("relay %d takes the notes of a batch\n", me)
}

inline read_batch() {
    for (k : 0 .. KEYS - 1) {
        if
        :: next_ids[k] != 0 ->
           next_seen[k] = store[from].record[k];
           printf("relay %d reads key %d, record %d\n", me, k, next_seen[k])
        :: else
        fi
    };
    ahead = READ
}

inline begin_batch() {
    for (k : 0 .. KEYS - 1) { ids[k] = next_ids[k]; seen[k] = next_seen[k] };
    drop_ahead();
    printf("relay %d goes on to the batch that it has read\n", me)
}

inline apply_batch() {
    for (k : 0 .. KEYS - 1) {
        if
        :: ids[k] != 0 ->
           store[OTHER(from)].record[k] = seen[k];
           printf("relay %d applies to %c: key %d is record %d\n", me, NAME(OTHER(from)), k, seen[k])
        :: else
        fi;
        seen[k] = 0
    };
    check()
}

inline delete_batch() {
    for (k : 0 .. KEYS - 1) {
#ifdef DELETES_AHEAD
        store[from].outbox[k] = store[from].outbox[k] & ~(ids[k] | next_ids[k]);
#else
        store[from].outbox[k] = store[from].outbox[k] & ~ids[k];
#endif
        ids[k] = 0
    };
    printf("relay %d deletes its notes of %c\n", me, NAME(from));
    check()
}

/* Refused: a writer has mirrored its own key. The fences are taken anew, and read again while they are held. */
inline hold_anew() {
#ifndef AHEAD_KEPT_WHEN_REFUSED
    drop_ahead();
#endif
    store[OTHER(from)].locked = store[OTHER(from)].locked | mine;
    for (k : 0 .. KEYS - 1) {
        if
        :: ids[k] != 0 ->
           seen[k] = store[from].record[k];
           printf("relay %d is refused, and reads again: key %d is record %d\n", me, k, seen[k])
        :: else
        fi
    };
    skip
}

inline let_go() { store[OTHER(from)].locked = store[OTHER(from)].locked & ~mine }

inline raise_mine(p) {
    if
    :: HAS(p) -> PEER_HOLDER(p) = me
    :: else
    fi
}

inline apply_anew() {
    let_go();
    raise_mine(0);
#if PARTITIONS == 2
    raise_mine(1);
#endif
    apply_batch()
}

inline swap_batches() {
    for (k : 0 .. KEYS - 1) {
        byte other = ids[k];
        ids[k] = next_ids[k]; next_ids[k] = other;
        other = seen[k];
        seen[k] = next_seen[k]; next_seen[k] = other;
        other = 0
    };
    printf("relay %d applies the later batch first\n", me)
}

#define MAY_TAKE(s, p) (!HAS(p) && !EMPTY(s) && (mine == 0 || from == s) && FENCE_IS_FREE(OTHER(s), p))
#define ENDS d_step { fleet_forgets() }
#define READS_AHEAD(back) \
    :: d_step { ahead == NOT_TAKEN && mine != 0 && !NOTHING_TO_TAKE -> take_batch() }; goto back \
    :: d_step { ahead == TAKEN_ONLY -> read_batch() }; goto back

proctype Fleet(byte me) {
    byte from, mine, ids[KEYS], seen[KEYS], ahead, next_ids[KEYS], next_seen[KEYS];
between:
    if
    :: d_step { MAY_TAKE(A, 0) -> take_partition(A, 0) }; goto between
    :: d_step { HAS(0) -> give_partition(0) }; goto between
#if PARTITIONS == 2
    :: d_step { MAY_TAKE(A, 1) -> take_partition(A, 1) }; goto between
    :: d_step { HAS(1) -> give_partition(1) }; goto between
#endif
#if EPOCHS
    :: d_step { MAY_TAKE(M, 0) -> take_partition(M, 0) }; goto between
#if PARTITIONS == 2
    :: d_step { MAY_TAKE(M, 1) -> take_partition(M, 1) }; goto between
#endif
#endif
    READS_AHEAD(between)
    :: d_step { ahead == READ && mine != 0 -> begin_batch() }
    fi;
applying:
    if
    READS_AHEAD(applying)
#ifdef LATER_BATCH_FIRST
    :: d_step { ahead == READ -> swap_batches() }; goto applying
#endif
    :: d_step { MIRRORED && FENCES_HOLD -> apply_batch() }
    :: d_step { MIRRORED && !FENCES_HOLD -> hold_anew() };
       if
       :: d_step { apply_anew() }
       :: d_step { let_go(); fleet_forgets() }; goto between
       fi
    :: ENDS; goto between
    fi;
applied:
    if
    READS_AHEAD(applied)
    :: d_step { delete_batch() }; goto between
    :: ENDS; goto between
    fi
}
