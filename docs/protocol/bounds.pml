/* The configurations: how many of each take part and how much they may do. Each is small enough for seconds; with -DDEEP
   the second number of MORE counts, for minutes. FINISH is a state that must be reachable, so that an empty model or one
   that is stuck does not pass. */

#ifdef DEEP
#define MORE(small, deep) deep
#else
#define MORE(small, deep) small
#endif

#define THERE_AND_BACK (AT_REST(A) && store[M].next > 0 && writes == WRITES)
#define ENABLED_AT_LAST (AT_REST(A) && store[A].generation == GENERATIONS && writes == WRITES)

#ifdef CONFIG_SWITCH        /* operators race each other */
#define OPERATORS MORE(3, 2)
#define RELAYS MORE(1, 2)
#define WRITERS MORE(1, 2)
#define WRITES MORE(2, 3)
#define EPOCHS MORE(2, 3)
#define FINISH THERE_AND_BACK
#endif

#ifdef CONFIG_RELAY         /* relays sleep through a switch and back */
#define OPERATORS MORE(1, 2)
#define RELAYS 2
#define WRITERS 1
#define WRITES 3
#define EPOCHS MORE(2, 3)
#define FINISH THERE_AND_BACK
#ifdef DEEP
#define SMALL_BATCHES
#endif
#endif

#ifdef CONFIG_KEYS          /* two keys, written by transactions that may commit in another order than they noted */
#define KEYS 2
#define OPERATORS 1
#define RELAYS MORE(1, 2)
#define WRITERS 2
#define WRITES 3
#define EPOCHS 2
#define SMALL_BATCHES
#define FINISH THERE_AND_BACK
#endif

#ifdef CONFIG_SNAPSHOT      /* a writer whose snapshot is older than its lock */
#define OPERATORS 1
#define RELAYS 1
#define WRITERS 1
#define OLD_SNAPSHOTS 1
#define WRITES MORE(2, 3)
#define EPOCHS 2
#define ENABLERS 1
#define GENERATIONS MORE(1, 2)
#define NEVER_ENABLED
#define FINISH (AT_REST(M) && store[M].next > 0)
#endif

#ifdef CONFIG_ENABLE        /* enabled for the first time, disabled and enabled again, by two who race */
#define ENABLERS 2
#define GENERATIONS 3
#define RELAYS MORE(1, 2)
#define WRITERS 1
#define WRITES 2
#define NEVER_ENABLED
#define FINISH ENABLED_AT_LAST
#endif

#ifdef CONFIG_AGAIN         /* a stream in use is disabled and enabled again; relays sleep through it */
#define ENABLERS 1
#define GENERATIONS MORE(2, 3)
#define RELAYS 2
#define WRITERS 1
#define WRITES MORE(2, 3)
#define FINISH ENABLED_AT_LAST
#endif

#ifdef CONFIG_FILL          /* switches come while a mirror is being filled, or the stream disabled */
#define OPERATORS MORE(1, 2)
#define ENABLERS 1
#define GENERATIONS 2
#define RELAYS 1
#define WRITERS 1
#define WRITES MORE(2, 3)
#define EPOCHS 2
#define NEVER_ENABLED
#define FINISH (AT_REST(M) && store[M].next > 0)
#endif

#ifdef CONFIG_RECOVERY      /* no data: whether there is one authority in the end */
#define OPERATORS MORE(1, 2)
#ifndef NO_RESUMER
#define RESUMERS MORE(1, 2)
#endif
#define EPOCHS 3
#define FINISH (FOLLOWS(M) && store[M].epoch == EPOCHS)
#endif

#ifdef CONFIG_INLINE        /* a writer mirrors what was written, while relays go on or sleep through a switch and back */
#define OPERATORS 1
#define INLINES 1
#define RELAYS 2
#define WRITERS 1
#define WRITES MORE(2, 3)
#define EPOCHS 2
#define FINISH THERE_AND_BACK
#endif

#ifdef CONFIG_FLEET         /* a relay that reads ahead and gives its partition away, beside a writer that mirrors its own */
#define FLEETS MORE(1, 2)
#define INLINES 1
#define WRITERS 1
#define WRITES 3
#define OPERATORS MORE(0, 1)
#define EPOCHS MORE(0, 1)
#define FINISH (AT_REST(A) && store[M].record[0] == WRITES && store[M].holder[0] != NOBODY)
#endif

#ifdef CONFIG_SHARE         /* two relays that read ahead share two partitions; deep, through a switch */
#define FLEETS 2
#define KEYS 2
#define PARTITIONS 2
#define WRITERS 2
#define WRITES 2
#define OPERATORS MORE(0, 1)
#define EPOCHS MORE(0, 2)
#define FINISH (AT_REST(A) && store[M].record[0] != ABSENT && store[M].record[1] != ABSENT && \
                store[M].holder[0] != store[M].holder[1] && store[M].holder[0] != NOBODY && store[M].holder[1] != NOBODY)
#endif

#ifdef CONFIG_NUMBER        /* the number of partitions is changed, there and back; number.pml */
#define CHANGES MORE(2, 3)
#define COMMANDS MORE(1, 2)
#define INLINES 1
#define RELAYS MORE(1, 2)
#define WRITERS 1
#define WRITES 2
#define FINISH (EMPTY && changes == CHANGES && writes == WRITES && number_a == number_m && number_a == 1 + CHANGES % 2)
#endif

#ifndef KEYS
#define KEYS 1
#endif
#ifndef PARTITIONS
#define PARTITIONS 1
#endif
#ifndef CHANGES
#define CHANGES 0
#endif
#ifndef INLINES
#define INLINES 0
#endif
#ifndef FLEETS
#define FLEETS 0
#endif
#ifndef WRITERS
#define WRITERS 0
#endif
#ifndef OLD_SNAPSHOTS
#define OLD_SNAPSHOTS 0
#endif
#ifndef WRITES
#define WRITES 0
#endif
#ifndef RELAYS
#define RELAYS 0
#endif
#ifndef OPERATORS
#define OPERATORS 0
#endif
#ifndef EPOCHS
#define EPOCHS 0
#endif
#ifndef ENABLERS
#define ENABLERS 0
#endif
#ifndef GENERATIONS
#define GENERATIONS 0
#endif
#ifndef RESUMERS
#define RESUMERS 0
#endif
