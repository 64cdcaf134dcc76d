/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* close_range */
#include "server/sandbox.h"
#include "server/server.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef OUTFLOW_SECCOMP
#include <seccomp.h>
#endif

/* Sanitizers reserve terabytes of addresses and make system calls of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static const struct rlimit *both(rlim_t most, struct rlimit *limit) {
    *limit = (struct rlimit){most, most};
    return limit;
}

/* Bytes of addresses that the process has now. */
static bool read_size(size_t *bytes) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    bool fine = file != NULL && fscanf(file, "%lu", &pages) == 1; // NOLINT(cert-err34-c)
    if (file != NULL)
        (void)fclose(file);
    *bytes = pages * (size_t)sysconf(_SC_PAGESIZE);
    return fine;
}

static bool limit_resources(size_t memory) {
    struct rlimit l;
    bool fine =
        setrlimit(RLIMIT_CORE, both(0, &l)) == 0 && setrlimit(RLIMIT_FSIZE, both(0, &l)) == 0;
#ifndef SANITIZED
    size_t now;
    fine = fine && read_size(&now) && setrlimit(RLIMIT_AS, both(now + memory, &l)) == 0;
#else
    (void)memory;
    (void)read_size;
#endif
    return fine && setrlimit(RLIMIT_NOFILE, both(0, &l)) == 0;
}

#if defined(OUTFLOW_SECCOMP) && !defined(SANITIZED)
/* Memory for data, and none that can be executed. */
static bool allow_memory(scmp_filter_ctx filter) {
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code) == 0;
}

static bool filter_calls(void) {
    static const int allowed[] = {
        SCMP_SYS(read),          SCMP_SYS(write),        SCMP_SYS(munmap),
        SCMP_SYS(mremap),        SCMP_SYS(madvise),      SCMP_SYS(brk),
        SCMP_SYS(futex),         SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
        SCMP_SYS(clock_gettime), SCMP_SYS(getrandom),    SCMP_SYS(exit),
        SCMP_SYS(exit_group)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool fine = filter != NULL && allow_memory(filter);
    for (size_t i = 0; fine && i < sizeof allowed / sizeof *allowed; i++)
        fine = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
    fine = fine && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return fine;
}
#else
static bool filter_calls(void) {
    return true;
}
#endif

bool of_sandbox_has_filter(void) {
#if defined(OUTFLOW_SECCOMP) && !defined(SANITIZED)
    return true;
#else
    return false;
#endif
}

bool of_sandbox_enter(size_t memory) {
    (void)close_range(OF_DECODER_SOCKET + 1, ~0U, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* Nobody is left to decode for: a server that is killed takes its decoders along. */
    (void)prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && limit_resources(memory) && filter_calls();
}
