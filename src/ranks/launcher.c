/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ranks/launcher.h"

#include "core/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct of_launcher {
    const char *variable; /* of the number of processes, or of the process's number */
    const char *modules[3];
};

/* MPI libraries find each other by these variables; the first that is set tells whose they are. */
static const of_launcher launchers[] = {
    {"OMPI_COMM_WORLD_SIZE", {"openmpi", "mpi", NULL}},
    {"PMI_SIZE", {"mpich", "mpi", NULL}},
    {"PMI_RANK", {"mpich", "mpi", NULL}},
    {"PMIX_RANK", {"openmpi", "mpi", "mpich"}},
};

/* A launcher of one process needs no MPI. One that tells its size is believed: it may have been
 * started in a step of one task of Slurm, whose variables it hands on. */
static bool is_certainly_alone(const of_launcher *found) {
    bool tells_size = strstr(found->variable, "SIZE") != NULL;
    const char *size = getenv(tells_size ? found->variable : "SLURM_STEP_NUM_TASKS");
    return size != NULL && strcmp(size, "1") == 0;
}

const of_launcher *of_launcher_find(void) {
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if (getenv(launchers[i].variable) != NULL)
            return is_certainly_alone(&launchers[i]) ? NULL : &launchers[i];
    return NULL;
}

/* ---- The module --------------------------------------------------------------------------- */

enum { PATH_SIZE = PATH_MAX + 64 };

/* A module that is looked for. */
typedef struct module_search {
    const char *name;
    void *module; /* NULL: not found, or it could not be loaded */
    bool found;
    char *reason;
    size_t reason_size;
} module_search;

static void look_in(module_search *wanted, const char *folder, const char *below) {
    char path[PATH_SIZE];
    int written = snprintf(path, sizeof path, "%s/%soutflow_%s.so", folder, below, wanted->name);
    if (wanted->found || written < 0 || written >= PATH_SIZE || access(path, F_OK) != 0)
        return;
    wanted->found = true;
    /* parts of Open MPI that are loaded later look for its symbols among the global ones */
    wanted->module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (wanted->module == NULL)
        (void)snprintf(wanted->reason, wanted->reason_size, "%s", dlerror());
}

/* The folder of a file, without symbolic links; false if there is none. */
static bool folder_of(const char *file, char folder[PATH_MAX]) {
    if (file == NULL || realpath(file, folder) == NULL)
        return false;
    char *slash = strrchr(folder, '/');
    *slash = '\0';
    return true;
}

/* Beside the library or the program, as they are built, or where modules are installed. A library
 * that is linked into the program is the program. */
static void look_around(module_search *wanted) {
    static const char here; /* an address of this library */
    char folder[PATH_MAX];
    Dl_info library;
    if (dladdr(&here, &library) != 0 && folder_of(library.dli_fname, folder)) {
        look_in(wanted, folder, "");
        look_in(wanted, folder, "outflow/");
    }
    if (folder_of("/proc/self/exe", folder)) {
        look_in(wanted, folder, "");
        look_in(wanted, folder, OUTFLOW_MODULE_FOLDER "/");
    }
}

static void *load_module(const char *name, const char *folder, char *reason, size_t size) {
    module_search wanted = {.name = name, .reason = reason, .reason_size = size};
    if (folder != NULL)
        look_in(&wanted, folder, "");
    else
        look_around(&wanted);
    return wanted.module;
}

of_status of_launcher_open(const of_launcher *launcher, const char *folder, of_transport *transport,
                           of_error *error) {
    char reason[512] = "there is no module for it";
    void *module = NULL;
    for (size_t i = 0; module == NULL && i < 3 && launcher->modules[i] != NULL; i++)
        module = load_module(launcher->modules[i], folder, reason, sizeof reason);
    if (module != NULL) {
        of_transport_open_function *open;
        *(void **)&open = dlsym(module, OF_TRANSPORT_SYMBOL);
        if (open != NULL && open(OF_TRANSPORT_VERSION, transport, reason, sizeof reason) == 0)
            return OF_OK;
    }
    return of_fail_setting(
        error, OF_ERROR_UNSUPPORTED, "module_folder",
        "started as one of several processes (%s is set), but MPI cannot be used: %s",
        launcher->variable, reason);
}
