/* Resumers: whoever finds a fenced store reads both, one after the other, and takes the next step. Dead ends apart, what
   can go wrong is that nobody ever gets there; so this is checked as: from some time on there is one authority and one
   mirror, for ever, however others act on stale knowledge, when at least the resumers go on (weak fairness). */

#define RECOVERED (FOLLOWS(A) || FOLLOWS(M))

#if ONLY == ALWAYS_RECOVERS
ltl recovers { <> [] RECOVERED }
#endif

inline pick() {
    if
    :: role[A] == fenced && role[M] == fenced ->
#ifdef ONE_SIDE_ONLY
       side = (epoch[A] > epoch[M] -> A : M)
#else
       side = (epoch[A] < epoch[M] -> A : M)
#endif
    :: else -> side = (role[A] == fenced -> A : M)
    fi;
    e = epoch[side]
}

inline forget_resumer() {
    role[A] = 0; role[M] = 0; epoch[A] = 0; epoch[M] = 0; side = 0; e = 0
}

#define PEER_ROLE role[OTHER(side)]
#define PEER_EPOCH epoch[OTHER(side)]
#define IS_PROMOTED ((PEER_ROLE == authority && PEER_EPOCH >= e) || (PEER_ROLE == fenced && PEER_EPOCH > e))
#define IS_BURNT (PEER_ROLE == mirror && PEER_EPOCH == e)

proctype Resumer() {
    mtype role[2];
    byte epoch[2];
    byte side, e;
    do
    :: d_step { role[A] = store[A].role; epoch[A] = store[A].epoch };
       d_step { role[M] = store[M].role; epoch[M] = store[M].epoch; pick() };
       if
       :: d_step { role[side] == fenced && IS_PROMOTED ->
                   if :: MAY_DEMOTE -> demote() :: else fi; forget_resumer() }
       :: d_step { role[side] == fenced && IS_BURNT ->
                   if :: MAY_REVERT -> revert() :: else fi; forget_resumer() }
       :: d_step { role[side] == fenced && PEER_EPOCH < e ->
                   if :: MAY_PROMOTE -> promote() :: else fi; forget_resumer() }
       :: d_step { role[side] == fenced && PEER_EPOCH < e ->
                   if :: MAY_BURN -> burn() :: else fi; forget_resumer() }
       :: d_step { !(role[side] == fenced && (IS_PROMOTED || IS_BURNT || PEER_EPOCH < e)) -> forget_resumer() }
       fi
    od
}
