/* What is asked: everything that must hold in every state, or with -DONLY=... one of it alone. */

#define ALL 0
#define ONE_AUTHORITY 1    /* never two authorities */
#define NOTHING_LOST 2     /* the authority has every acknowledged write */
#define SAME_AT_REST 3     /* backfilled and nothing noted: the mirror equals the authority */
#define A_WAY_OUT 4        /* some store is the authority, or fenced so that it can be resumed */
#define WRITES_REFUSED 5   /* no write is taken by a store that is not the authority */
#define ALWAYS_RECOVERS 6  /* recovery.pml, number.pml */
#define REACHED 7          /* the opposite: an error shows that the model gets there at all */
#ifndef ONLY
#define ONLY ALL
#endif
#define ASKED(property) (ONLY == ALL || ONLY == property)
