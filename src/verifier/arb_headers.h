#pragma once

// FLINT 3 contains Arb; before that Arb was a library of its own with headers outside flint/.
#if __has_include(<flint/acb.h>)
#include <flint/acb.h>
#include <flint/arb.h>
#include <flint/arb_fmpz_poly.h>
#else
#include <acb.h>
#include <arb.h>
#include <arb_fmpz_poly.h>
#endif
