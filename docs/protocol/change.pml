/* The command that changes the number of partitions, and what becomes of it when it dies. Needs number.pml. */

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
#if defined(AUTHORITY_FIRST) || defined(AUTHORITY_FIRST_UNCOMPARED)
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
