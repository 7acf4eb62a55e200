/* The protocol of two stores, one stream: README.md says what is modelled, how to run it and what was found.

   Every d_step is one committed transaction in one database. Between two of them anybody else may go on, for as long
   as it likes; whoever never goes on is dead, and every process may also forget all it knows and begin anew.

   By hand:  spin -a -DCONFIG_SWITCH model.pml && gcc -O2 -DNOREDUCE -DSAFETY -o pan pan.c && ./pan -E
   With an ingredient left out, the shortest way to the error: add -DNO_BURN, and -DBFS for gcc; ./pan -r -S tells it. */

#include "bounds.pml"
#include "asked.pml"

#define START(number, process) i = 0; do :: i < number -> i++; run process :: else -> i = 0; break od

#if CHANGES
#include "number.pml"
#include "change.pml"
#else
#include "stores.pml"
#include "writer.pml"
#include "relay.pml"
#if INLINES
#include "inline.pml"
#endif
#if FLEETS
#include "fleet.pml"
#endif
#include "switch.pml"
#include "enable.pml"
#include "recovery.pml"

init {
    byte i;
    atomic {
        set_up();
        START(WRITERS, Writer((i - 1) % KEYS));
#if OLD_SNAPSHOTS
        START(OLD_SNAPSHOTS, SnapshotWriter());
#endif
        START(RELAYS, Relay(i));
#if INLINES
        START(INLINES, Inline(i, (i - 1) % KEYS));
#endif
#if FLEETS
        START(FLEETS, Fleet(i));
#endif
        START(OPERATORS, Operator());
        START(ENABLERS, Enabler());
        START(RESUMERS, Resumer())
    }
}
#endif
