/* LAR, LSL, VERR, VERW in 32-bit protected mode; they and their relatives do not exist in real mode. [SDM2 LAR, LSL, VERR], [APM3] */
#include "guest.inc"
#include "legacy.inc"
        .set    LAR_TYPES, 0xffff1a3e    // and the 16-bit TSS and call gate, and the task gate
        .set    LSL_TYPES, 0xffff0a0e
#define EQUAL(got, want) WANT(got, want)
#include "segment_queries.inc"

main32: call    segment_queries
        ret

in_ring3:
        arm32   1f
        enter_ring3
        call    *%edi
        int     $SYSTEM
1:      ret
