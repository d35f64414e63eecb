/* What every assembly file of this directory opens with: how a function begins and ends, for ELF and Mach-O.
 *
 *     FUNCTION name      hidden, 64-byte aligned, a valid target of an indirect call under BTI, with unwind information
 *     END name
 *     CONSTANTS          what follows is read-only data, 64-byte aligned; reached relative to the program counter
 *     CODE               back to instructions
 *     ADDRESS r, label   of a constant
 *
 * Every function is a leaf that keeps its return address in x30, so there is nothing to sign, and the files may say that
 * they hold to pointer authentication.
 */
	.arch	armv8-a+crypto

#ifdef __APPLE__
#define SYMBOL(name) _##name
	.macro FUNCTION name
	.text
	.p2align 6
	.private_extern _\name
	.globl	_\name
_\name:
	.cfi_startproc
	hint	#34			/* bti c */
	.endm
	.macro END name
	.cfi_endproc
	.endm
	.macro CONSTANTS
	.section __TEXT,__const
	.p2align 6
	.endm
	.macro ADDRESS register, label
	adrp	\register, \label@PAGE
	add	\register, \register, \label@PAGEOFF
	.endm
#else
#define SYMBOL(name) name
	.macro FUNCTION name
	.text
	.p2align 6
	.globl	\name
	.hidden	\name
	.type	\name, %function
\name:
	.cfi_startproc
	hint	#34			/* bti c */
	.endm
	.macro END name
	.cfi_endproc
	.size	\name, . - \name
	.endm
	.macro CONSTANTS
	.section .rodata, "a", %progbits
	.p2align 6
	.endm
	.macro ADDRESS register, label
	adrp	\register, \label
	add	\register, \register, :lo12:\label
	.endm

	/* no executable stack */
	.section .note.GNU-stack, "", %progbits
	/* BTI and PAC: ELF for the Arm 64-bit architecture, program property 0xc0000000 */
	.section .note.gnu.property, "a", %note
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 3, 0
#endif
	.macro CODE
	.text
	.endm
	.text
