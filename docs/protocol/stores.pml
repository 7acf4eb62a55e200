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
    byte holder[PARTITIONS]; /* whose fence epoch is the newest: the relay that raised it last, or NOBODY that works */
    byte locked            /* partitions whose fences an open transaction holds, and with them the role; as bits */
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

#if PARTITIONS == 2         /* each key is a partition of its own */
#define FENCE(k) k
#define RAISE_FENCES(s) store[s].holder[0] = NOBODY; store[s].holder[1] = NOBODY
#else
#define FENCE(k) 0
#define RAISE_FENCES(s) store[s].holder[0] = NOBODY
#endif
#if INLINES || FLEETS
#define ROLE_IS_FREE(s) (store[s].locked == 0)
#define FENCE_IS_FREE(s, p) ((store[s].locked & (1 << (p))) == 0)
#define LOCK(s, p) store[s].locked = store[s].locked | (1 << (p))
#define UNLOCK(s, p) store[s].locked = store[s].locked & ~(1 << (p))
#else
#define ROLE_IS_FREE(s) true
#define FENCE_IS_FREE(s, p) true
#endif

/* A writer under way holds the lock shared, so whoever wants it alone waits. */
#define ALONE(s) (store[s].writing == 0)

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
