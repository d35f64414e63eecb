/* What every assembly file of this directory opens with: how a function begins and ends, for ELF and Mach-O.
 *
 *     FUNCTION name      hidden, 64-byte aligned, a valid target of an indirect call under CET, with unwind information
 *     END name
 *     CONSTANTS          what follows is read-only data, 64-byte aligned; reached relative to rip, so without relocation
 *     CONSTANT name      hidden: what follows has this name in other files too
 *     CODE               back to instructions
 *
 * Syntax: GNU as, Intel operand order without prefixes.
 */
	.intel_syntax noprefix

#ifdef __APPLE__
#define SYMBOL(name) _##name
	.macro FUNCTION name
	.text
	.p2align 6
	.private_extern _\name
	.globl	_\name
_\name:
	.cfi_startproc
	endbr64
	.endm
	.macro END name
	.cfi_endproc
	.endm
	.macro CONSTANTS
	.section __TEXT,__const
	.p2align 6
	.endm
	.macro CONSTANT name
	.private_extern _\name
	.globl	_\name
_\name:
	.endm
#else
#define SYMBOL(name) name
	.macro FUNCTION name
	.text
	.p2align 6
	.globl	\name
	.hidden	\name
	.type	\name, @function
\name:
	.cfi_startproc
	endbr64
	.endm
	.macro END name
	.cfi_endproc
	.size	\name, . - \name
	.endm
	.macro CONSTANTS
	.section .rodata, "a", @progbits
	.p2align 6
	.endm
	.macro CONSTANT name
	.globl	\name
	.hidden	\name
\name:
	.endm

	/* no executable stack */
	.section .note.GNU-stack, "", @progbits
	/* both branch-target marks (IBT) and the shadow stack (SHSTK) are kept: x86-64 psABI, 5.1, property 0xc0000002 */
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 3, 0
#endif
	.macro CODE
	.text
	.endm
	.text
