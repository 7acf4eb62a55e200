/* Writers: what the trigger does, then the commit. There is no rollback, since it does nothing that never having begun
   would not do as well. A write to a store that is not the authority is refused, which is no step at all. */

#define UNDER_WAY (store[A].writing + store[M].writing)
#define MAY_WRITE(s) (store[s].role == authority && writes + UNDER_WAY < WRITES)

/* The trigger reads the state row: what it learns of capture. */
inline read_state(where) {
    s = where;
    noted = store[s].capture
}

/* The id of the note is drawn at the write; others see the note from the commit on. */
inline draw_id() {
    if
    :: noted -> id = store[s].next; assert(id < IDS); store[s].next++
    :: else
    fi
}

inline lock_shared() {
#ifndef NO_SHARED_LOCK
    store[s].writing++;
#endif
    skip
}

inline begin_write(where) {
    read_state(where);
    draw_id();
#ifndef STATE_BEFORE_LOCK
    lock_shared();
#endif
    printf("a writer begins in %c\n", NAME(where))
}

inline commit(record_or_absent, is_noted) {
#ifndef NO_SHARED_LOCK
    store[s].writing--;
#endif
    writes++;
    store[s].record[key] = record_or_absent;
    acknowledged[key] = store[s].record[key];
    if
    :: is_noted -> store[s].outbox[key] = store[s].outbox[key] | (1 << id)
    :: else
    fi;
    printf("a write in %c commits: key %d is record %d, noted %d\n", NAME(s), key, store[s].record[key], is_noted);
#if ASKED(WRITES_REFUSED)
    assert(store[s].role == authority);
#endif
    check();
    s = 0; id = 0; noted = 0
}

/* Insert or update, or delete. The trigger that notes runs after the write: capture may be off by then. */
#define COMMITS \
    if \
    :: d_step { commit(writes, noted) } \
    :: d_step { store[s].record[key] != ABSENT -> commit(ABSENT, noted) } \
    :: d_step { noted && !store[s].capture -> commit(writes, 0) } \
    fi

/* READ COMMITTED: the lock first, then, in a statement of its own, the state. */
proctype Writer(byte key) {
    byte s, id;
    bit noted;
begin:
    if
    :: d_step { MAY_WRITE(A) -> begin_write(A) }
    :: d_step { MAY_WRITE(M) -> begin_write(M) }
    fi;
#ifdef STATE_BEFORE_LOCK
    d_step { lock_shared(); printf("the writer in %c gets the lock\n", NAME(s)) }
#endif
    COMMITS;
    goto begin
}

/* REPEATABLE READ and SERIALIZABLE: the snapshot comes before the lock, so the row is read FOR SHARE. At most one. */
#if OLD_SNAPSHOTS
#define TAKEN(s) (1 + (s))
byte snapshot;             /* TAKEN(s): one is open in s */
bit outdated;              /* the state row was changed since */

inline changed(where) {
    if
    :: snapshot == TAKEN(where) -> outdated = 1
    :: else
    fi
}

inline take_snapshot(where) {
    read_state(where);
    snapshot = TAKEN(where);
    printf("a writer in %c takes its snapshot\n", NAME(where))
}

inline close_snapshot() { snapshot = 0; outdated = 0 }

#ifdef NO_FOR_SHARE
#define ROW_IS_OLD false
#else
#define ROW_IS_OLD outdated
#endif

proctype SnapshotWriter() {
    byte s, id, key;
    bit noted;
begin:
    if
    :: d_step { MAY_WRITE(A) -> take_snapshot(A) }
    :: d_step { MAY_WRITE(M) -> take_snapshot(M) }
    fi;
    if
    :: d_step { ROW_IS_OLD -> close_snapshot(); s = 0; id = 0; noted = 0; printf("serialization error\n") };
       goto begin
    :: d_step { !ROW_IS_OLD -> lock_shared(); draw_id(); close_snapshot();
                printf("the writer in %c gets the lock\n", NAME(s)) }
    fi;
    COMMITS;
    goto begin
}
#else
#define changed(where) skip
#endif
