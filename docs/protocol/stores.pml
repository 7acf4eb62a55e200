/* What is in the two stores, and what must always be true of them. */

#define A 0
#define M 1
#define OTHER(s) (1 - (s))
#define NAME(s)  ((s) == A -> 'A' : 'M')
#define NOBODY 0
#define ABSENT 0
#define IDS 8

mtype = { authority, mirror, fenced, detached };

typedef Store {
    mtype role;
    byte epoch;
    bit capture;
    bit backfilled;
    byte generation;
    byte record[KEYS];     /* the number of the write that made it, or ABSENT */
    byte outbox[KEYS];     /* for each key the ids of its notes, as a set of bits; an id never comes twice */
    byte next;             /* the id of the next note */
    byte writing;          /* how many writers hold the stream's lock, shared */
    byte holder            /* whose fence epoch is the newest: the relay that raised it last, or NOBODY that works */
}
Store store[2];

byte writes;               /* acknowledged so far */
byte acknowledged[KEYS];   /* the record that the last acknowledged write of the key made */
byte k = KEYS;            /* every loop over the keys leaves it like that */

#if KEYS == 2
#define EMPTY(s) (store[s].outbox[0] == 0 && store[s].outbox[1] == 0)
#define SAME(x, y) (x[0] == y[0] && x[1] == y[1])
#else
#define EMPTY(s) (store[s].outbox[0] == 0)
#define SAME(x, y) (x[0] == y[0])
#endif

/* A writer under way holds the lock shared, so whoever wants it alone waits. */
#define ALONE(s) (store[s].writing == 0)

/* ---- What must hold in every state. -DONLY=... asks for one of them alone. ---- */

#define ALL 0
#define ONE_AUTHORITY 1    /* never two authorities */
#define NOTHING_LOST 2     /* the authority has every acknowledged write */
#define SAME_AT_REST 3     /* backfilled and nothing noted: the mirror equals the authority */
#define A_WAY_OUT 4        /* some store is the authority, or fenced so that it can be resumed */
#define WRITES_REFUSED 5   /* no write is taken by a store that is not the authority */
#define ALWAYS_RECOVERS 6  /* recovery.pml */
#define REACHED 7          /* the opposite: an error shows that the model gets there at all */
#ifndef ONLY
#define ONLY ALL
#endif
#define ASKED(property) (ONLY == ALL || ONLY == property)

#define FOLLOWS(a) (store[a].role == authority && store[OTHER(a)].role == mirror)
#define AT_REST(a) (FOLLOWS(a) && store[a].backfilled && EMPTY(a))
#define LOST(a) (store[a].role == authority && !SAME(store[a].record, acknowledged))

inline check() {
#if ASKED(ONE_AUTHORITY)
    assert(!(store[A].role == authority && store[M].role == authority));
#endif
#if ASKED(NOTHING_LOST)
    assert(!LOST(A) && !LOST(M));
#endif
#if ASKED(SAME_AT_REST)
    assert(!((AT_REST(A) || AT_REST(M)) && !SAME(store[A].record, store[M].record)));
#endif
#if ASKED(A_WAY_OUT)
    assert(store[A].role == authority || store[M].role == authority || store[A].role == fenced || store[M].role == fenced);
#endif
#if ONLY == REACHED
    assert(!FINISH);
#endif
    skip
}

/* A is the authority. Either M follows it already, or the stream was never enabled; A may then hold a record of before. */
inline set_up() {
    store[A].role = authority;
#ifdef NEVER_ENABLED
    store[M].role = detached;
    if
    :: writes = 1; store[A].record[0] = 1; acknowledged[0] = 1
    :: skip
    fi
#else
    store[M].role = mirror;
    store[A].capture = 1;
    store[A].backfilled = 1
#endif
}
