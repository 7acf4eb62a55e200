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
byte locked;                   /* M: fences that an open transaction holds, and with them the numbers; as bits */
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

inline read_notes() {
    ids = outbox[partition];
    number = number_a;
    printf("relay %d reads the notes of partition %d, by %d\n", me, partition, number)
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
    ids = 0; seen = 0; number = 0
}

#define DIES d_step { forget_relay() }

proctype Relay(byte me) {
    byte partition, number, ids, seen;
acquire:
    if
    :: d_step { FREE(0) && !EMPTY -> take_fence(0) }
    :: d_step { FREE(1) && !EMPTY -> take_fence(1) }
    fi;
batch:
    if :: d_step { outbox[partition] != 0 -> read_notes() } :: DIES -> goto acquire fi;
    if :: d_step { read_record() } :: DIES -> goto acquire fi;
    if
    :: d_step { FREE(partition) && holder[partition] == me && SAME_NUMBER -> apply() }
    :: d_step { FREE(partition) && holder[partition] != me && SAME_NUMBER -> take_fence(partition); seen = 0 };
       if
       :: d_step { FREE(partition) && SAME_NUMBER -> locked = locked | (1 << partition); read_record() }
       :: DIES -> goto acquire
       fi;
       if
       :: d_step { locked = locked & ~(1 << partition); take_fence(partition); apply() }
       :: d_step { locked = locked & ~(1 << partition); forget_relay() } -> goto acquire
       fi
    :: DIES -> goto acquire
    fi;
    if :: d_step { delete_notes() } :: DIES -> goto acquire fi;
    goto batch
}

/* A writer that mirrors what it wrote: it takes the partition that its key has by the authority's number. */
proctype Inline() {
    byte me = NOBODY, partition, number, ids, seen;
begin:
    if :: d_step { next > 0 -> partition = PARTITION(number_a); read_notes() } fi;
    if :: d_step { FREE(partition) && SAME_NUMBER -> locked = locked | (1 << partition); read_record() } :: DIES -> goto begin fi;
    if
    :: d_step { locked = locked & ~(1 << partition); take_fence(partition); apply() }
    :: d_step { locked = locked & ~(1 << partition); forget_relay() } -> goto begin
    fi;
    if :: d_step { delete_notes(); partition = 0 } :: DIES fi;
    goto begin
}

/* ---- The command. ---- */

#ifdef CHANGE_WITHOUT_LOCK
#define MAY_LOCK (!changing)
#else
#define MAY_LOCK (writing == 0 && !changing)
#endif
#ifdef CHANGE_NOT_EMPTY
#define NOTHING_NOTED true
#else
#define NOTHING_NOTED EMPTY
#endif

inline lock_stream(n) {
    changing = 1;
    wanted = n;
    changes++;
    printf("command %d has the lock; %d partitions are wanted\n", _pid, n)
}

inline unlock_stream() { changing = 0; wanted = 0 }

inline lose_lock() {
    changing = 0;
    printf("command %d has lost its lock and does not know\n", _pid)
}

/* C1: waits for whoever holds the role. */
inline change_mirror(n) {
    number_m = n;
#ifndef NO_FENCE_RAISED_AT_CHANGE
    holder[0] = NOBODY;
    holder[1] = NOBODY;
#endif
    printf("command %d gives M %d partitions\n", _pid, number_m)
}

inline change_authority() {
    number_a = wanted;
    printf("command %d gives A %d partitions\n", _pid, number_a)
}

#define MAY_CHANGE_MIRROR (locked == 0)
#if defined(AUTHORITY_FIRST) || defined(AUTHORITY_FIRST_UNCOMPARED)
#define AUTHORITY_IS_FIRST
#endif
#define GIVES_UP d_step { unlock_stream() }

proctype Command() {
    byte wanted;
idle:
    if
    :: d_step { MAY_LOCK && NOTHING_NOTED && changes < CHANGES && number_a == number_m -> lock_stream(3 - number_a) }
    :: d_step { MAY_LOCK && NOTHING_NOTED && changes < CHANGES && number_a != number_m -> lock_stream(number_m) }
#ifndef NO_WAY_BACK
    /* One before has died in between: back to the authority's number, whatever is noted. */
    :: d_step { MAY_LOCK && number_a != number_m && MAY_CHANGE_MIRROR -> change_mirror(number_a) }; goto idle
#endif
    fi;
    if
#ifdef AUTHORITY_IS_FIRST
    :: d_step { NOTHING_NOTED -> change_authority() };
       if :: d_step { MAY_CHANGE_MIRROR -> change_mirror(wanted); unlock_stream() } :: GIVES_UP fi
#else
    :: d_step { MAY_CHANGE_MIRROR -> change_mirror(wanted) };
       if :: d_step { NOTHING_NOTED -> change_authority(); unlock_stream() } :: GIVES_UP fi
#endif
    :: d_step { lose_lock() };
       if :: d_step { MAY_CHANGE_MIRROR -> change_mirror(wanted); wanted = 0 } :: d_step { wanted = 0 } fi
    :: GIVES_UP
    fi;
    goto idle
}

/* ---- Whatever dies, everything noted is relayed in the end, when only somebody repeats the command, and a relay goes on
   (weak fairness). One step does for both. ---- */

#if ONLY == ALWAYS_RECOVERS
ltl recovers { <> [] (EMPTY && number_a == number_m) }
#endif

#ifdef NO_WAY_BACK
inline repeat() {
    if
    :: MAY_LOCK && number_a != number_m && NOTHING_NOTED -> number_a = number_m; printf("the command is repeated\n")
    :: else
    fi
}
#else
inline repeat() {
    if
    :: MAY_LOCK && number_a != number_m -> number_m = number_a; printf("the command takes its change of M back\n")
    :: else
    fi
}
#endif

inline relay_all() {
    if
    :: !EMPTY && number_a == number_m -> record_m = record_a; outbox[0] = 0; outbox[1] = 0; printf("relay: all is relayed\n")
    :: else
    fi
}

proctype Steady() {
    do
    :: d_step { repeat(); relay_all() }
    od
}

init {
    byte i;
    atomic {
        START(WRITERS, Writer());
        START(COMMANDS, Command());
#if ONLY == ALWAYS_RECOVERS
        START(1, Steady())
#else
        START(RELAYS, Relay(i));
        START(INLINES, Inline())
#endif
    }
}
