/* A library that does not belong to Asterisk. */

#include <unistd.h>

/* Not static: the compiler must not see that it is never set. */
volatile int *volatile bitstream;

static __attribute__((noinline)) void read_bits(void)
{
	*bitstream = 1;
}

void vendor_decode(void)
{
	read_bits();
}

void vendor_poll(void)
{
	for (;;) {
		usleep(1000);
	}
}
