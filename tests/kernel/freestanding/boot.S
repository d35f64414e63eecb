/* From the BIOS to C in long mode with AVX-512 switched on, on a machine that has nothing else.
 *
 * The first 512 bytes are the boot sector: it loads the rest of the image (boot.ld) to IMAGE, maps the first 16 MiB onto
 * themselves in pages of 2 MiB, and enters kernel_main. Intel SDM volume 3, 9.8.5 (long mode), 13.2 (XCR0).
 */
#define IMAGE 0x10000
#define TABLES 0x1000		/* three pages */
#define PRESENT_WRITABLE 3
#define LARGE 0x80

	.intel_syntax noprefix
	.section .boot, "ax", @progbits
	.code16
	.globl	boot
boot:
	cli
	xor	ax, ax
	mov	ds, ax
	mov	ss, ax
	mov	sp, 0x7c00
	/* sectors one by one: slow, and no track or segment is ever crossed */
	mov	cx, offset image_sectors
1:	push	cx
	mov	si, offset packet
	mov	ah, 0x42
	mov	dl, 0x80
	int	0x13
	jc	failed
	pop	cx
	add	word ptr [packet_segment], 32
	inc	word ptr [packet_sector]
	dec	cx
	jnz	1b

	mov	ax, 0x2401		/* address line 20, by BIOS and by port: more memory than 1 MiB */
	int	0x15
	in	al, 0x92
	or	al, 2
	out	0x92, al

	mov	edi, TABLES		/* PML4, one PDPT, one directory */
	mov	ecx, 3 * 1024
	xor	eax, eax
	mov	es, ax
	cld
	rep stosd
	mov	dword ptr [TABLES], TABLES + 0x1000 + PRESENT_WRITABLE
	mov	dword ptr [TABLES + 0x1000], TABLES + 0x2000 + PRESENT_WRITABLE
	mov	eax, LARGE + PRESENT_WRITABLE
	mov	edi, TABLES + 0x2000
	mov	cx, 8
2:	mov	[edi], eax
	add	eax, 0x200000
	add	edi, 8
	dec	cx
	jnz	2b

	mov	eax, TABLES
	mov	cr3, eax
	mov	eax, cr4
	or	eax, 0x40620		/* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	mov	cr4, eax
	mov	ecx, 0xc0000080		/* EFER: LME */
	rdmsr
	or	eax, 0x100
	wrmsr
	lgdt	[table_pointer]
	mov	eax, 0x80000011		/* paging, ET, protection; neither EM nor TS */
	mov	cr0, eax
	ljmp	8, offset long_mode
failed:
	mov	al, 'B'
	out	0xe9, al
	hlt

	.p2align 2
packet:	.byte	16, 0
	.word	1, 0
packet_segment:
	.word	IMAGE / 16
packet_sector:
	.long	1, 0
	.p2align 3
table:	.quad	0, 0x00209a0000000000, 0x0000920000000000	/* code and data of 64 bits */
table_pointer:
	.word	. - table - 1
	.long	table

	.code64
long_mode:
	mov	ax, 16
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	rsp, offset stack_top
	xor	ecx, ecx
	xor	edx, edx
	mov	eax, 0xe7		/* x87, SSE, AVX; the masks, the upper halves and the upper registers of AVX-512 */
	xsetbv
	mov	rax, offset kernel_main
	call	rax
	.org	510
	.word	0xaa55

	.text
	.globl	fault_entry
fault_entry:
	and	rsp, -16
	call	kernel_fault
	.section .note.GNU-stack, "", @progbits
