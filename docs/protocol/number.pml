/* Changing the number of partitions of a stream. A is the authority, M its mirror; what moves roles is checked elsewhere.
   There is one key, and it is one that moves: of one partition it is in the first, of two in the second. A note is put
   into the partition that the key has by the number in the authority, by whoever notes it.

   The change is a command's, under the authority's lock, with nothing noted: first the mirror's number, and every fence
   is raised; then the authority's, if still nothing is noted. It may die in between. Whoever applies compares, in the
   applying transaction, the mirror's number with the one by which it took its notes and its partition.

   A command that has lost its lock without knowing may still change the mirror. It cannot change the authority, since it
   does that in the session that has the lock. */

#define PARTITION(number) ((number) - 1)
#define EMPTY (outbox[0] == 0 && outbox[1] == 0)
#define NOBODY 0
#define ABSENT 0
#define IDS 8

byte record_a, record_m;       /* the number of the write that made it, or ABSENT */
byte number_a = 1, number_m = 1;
byte outbox[2];                /* A: for each partition the ids of its notes, as a set of bits */
byte next;
byte holder[2];                /* M: whose fence epoch is the newest */
byte locked;                   /* M: fences that an open transaction holds, and with them the number; as bits */
byte writing;                  /* A: how many hold the stream's lock, shared */
bit changing;                  /* A: a command holds it alone */
byte writes, changes;

inline check() {
#if ASKED(SAME_AT_REST)
    assert(!(EMPTY && record_a != record_m));
#endif
#if ONLY == REACHED
    assert(!FINISH);
#endif
    skip
}

/* ---- Writers, and those who only note a key: backfill, repair, redrive. ---- */

#define MAY_NOTE (!changing && writes + writing < WRITES)

inline begin_note(locks) {
    partition = PARTITION(number_a);
    id = next; assert(id < IDS); next++;
    writing = writing + locks;
    printf("a write begins, in partition %d\n", partition)
}

inline commit_note(locks, record) {
    writing = writing - locks;
    writes++;
    record_a = record;
    outbox[partition] = outbox[partition] | (1 << id);
    printf("a write commits: the key is record %d, noted in partition %d\n", record_a, partition);
    check();
    partition = 0; id = 0
}

proctype Writer() {
    byte partition, id;
begin:
    if
    :: d_step { MAY_NOTE -> begin_note(1) };
       if
       :: d_step { commit_note(1, writes) }
       :: d_step { commit_note(1, record_a) }
       fi
#ifdef NOTES_WITHOUT_LOCK
    :: d_step { writes + writing < WRITES -> begin_note(0) };
       if :: d_step { commit_note(0, record_a) } fi
#endif
    fi;
    goto begin
}

/* ---- Relays, each of one partition: which, it may forget. ---- */

#if defined(NO_NUMBER_COMPARED) || defined(AUTHORITY_FIRST_UNCOMPARED)
#define SAME_NUMBER true
#else
#define SAME_NUMBER (number_m == number)
#endif
#define FREE(p) ((locked & (1 << (p))) == 0)
#define MAY_APPLY (FREE(partition) && SAME_NUMBER)

inline hold_fence() { locked = locked | (1 << partition) }
inline let_go() { locked = locked & ~(1 << partition) }

inline forget_relay() {
    if
    :: holder[0] == me -> holder[0] = NOBODY
    :: else
    fi;
    if
    :: holder[1] == me -> holder[1] = NOBODY
    :: else
    fi;
    partition = 0; number = 0; ids = 0; seen = 0
}

inline take_fence(p) {
    partition = p;
    holder[p] = me;
    printf("relay %d takes the fence of partition %d\n", me, p)
}

inline read_number() {
    number = number_a;
    printf("relay %d reads that A has %d partitions\n", me, number)
}

/* One statement, so one snapshot. */
inline read_notes() {
    ids = outbox[partition];
    printf("relay %d reads the notes of partition %d\n", me, partition);
#if !defined(NUMBER_READ_BEFORE) && !defined(NUMBER_READ_LATER)
    read_number()
#endif
}

inline read_record() {
    seen = record_a;
    printf("relay %d reads record %d\n", me, seen)
}

inline apply() {
    record_m = seen;
    printf("relay %d applies record %d in partition %d\n", me, seen, partition);
    check()
}

inline delete_notes() {
    outbox[partition] = outbox[partition] & ~ids;
    printf("relay %d deletes its notes\n", me);
    check();
    ids = 0; seen = 0;
#ifndef NUMBER_READ_BEFORE
    number = 0
#endif
}

#define DIES d_step { forget_relay() }

proctype Relay(byte me) {
    byte partition, number, ids, seen;
acquire:
#ifdef NUMBER_READ_BEFORE
    if :: d_step { !EMPTY -> read_number() } fi;
#endif
    if
    :: d_step { FREE(0) && !EMPTY -> take_fence(0) }
    :: d_step { FREE(1) && !EMPTY -> take_fence(1) }
    fi;
batch:
    if :: d_step { outbox[partition] != 0 -> read_notes() } :: DIES -> goto acquire fi;
#ifdef NUMBER_READ_LATER
    if :: d_step { read_number() } :: DIES -> goto acquire fi;
#endif
    if :: d_step { read_record() } :: DIES -> goto acquire fi;
    if
    :: d_step { MAY_APPLY && holder[partition] == me -> apply() }
    /* Overtaken by such a writer: it does as they do. */
    :: d_step { MAY_APPLY && holder[partition] != me -> hold_fence(); read_record() };
       if
       :: d_step { let_go(); take_fence(partition); apply() }
       :: d_step { let_go(); forget_relay() } -> goto acquire
       fi
    :: DIES -> goto acquire
    fi;
    if :: d_step { delete_notes() } :: DIES -> goto acquire fi;
    goto batch
}

/* A writer that mirrors what it wrote, relay 0: it takes the partition that its key has by the authority's number. */
proctype Inline() {
    byte me = NOBODY, partition, number, ids, seen;
begin:
#ifdef FENCES_FIRST
    /* Of a few records: by the number that A had some time ago; with the notes it is asked again. */
    if :: d_step { next > 0 -> read_number(); partition = PARTITION(number) } fi;
    if :: d_step { MAY_APPLY -> hold_fence() } :: DIES -> goto begin fi;
    if
    :: d_step { number_a == number -> ids = outbox[partition]; printf("the writer reads its notes\n") }
    :: d_step { let_go(); forget_relay() } -> goto begin
    fi;
    if :: d_step { read_record() } :: d_step { let_go(); forget_relay() } -> goto begin fi;
#else
#ifdef NUMBER_READ_BEFORE
    if :: d_step { next > 0 -> read_number() } fi;
#endif
    if :: d_step { next > 0 -> partition = PARTITION(number_a); read_notes() } fi;
#ifdef NUMBER_READ_LATER
    if :: d_step { read_number() } :: DIES -> goto begin fi;
#endif
    if :: d_step { MAY_APPLY -> hold_fence(); read_record() } :: DIES -> goto begin fi;
#endif
    if
    :: d_step { let_go(); take_fence(partition); apply() }
    :: d_step { let_go(); forget_relay() } -> goto begin
    fi;
    if :: d_step { delete_notes(); forget_relay() } :: DIES fi;
    goto begin
}
