// A program that ends at once, without a C library: on a virtual machine the processor queries with
// which that starts take ten times as long as the execution that is to be measured.
void _start(void)
{
#if defined(__x86_64__)
    __asm__ volatile("mov $60, %eax; xor %edi, %edi; syscall");
#elif defined(__aarch64__)
    __asm__ volatile("mov x8, #93; mov x0, #0; svc #0");
#endif
}
