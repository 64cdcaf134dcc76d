/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* getrandom */
#include "server/rates.h"

#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Accounts are kept for so many clients; of those that share a row, the fullest makes room for a
 * new one, because a full account is as good as none. */
enum { ROWS = 512, ROW_ACCOUNTS = 8 };

#define SECONDS_WORTH 10.0 /* what may come at once */

typedef struct account {
    of_client client;
    bool used;
    double images; /* negative: a debt */
    double since;  /* when it held that */
} account;

struct of_rates {
    pthread_mutex_t mutex;
    double rate, most; /* images a second; on a full account */
    uint64_t seed;     /* of the rows: nobody can choose to be in another one's */
    account accounts[ROWS][ROW_ACCOUNTS];
};

/* ---- Clients -------------------------------------------------------------------------------- */

enum { KEY_CLIENT, IPV4_CLIENT, IPV6_CLIENT };

of_client of_client_of_key(size_t place) {
    of_client client = {.bytes = {KEY_CLIENT}};
    const uint64_t number = place;
    memcpy(client.bytes + 1, &number, sizeof number);
    return client;
}

static of_client client_of_bytes(uint8_t kind, const void *address, size_t size) {
    of_client client = {.bytes = {kind}};
    memcpy(client.bytes + 1, address, size);
    return client;
}

of_client of_client_of_address(const struct sockaddr *address) {
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (address->sa_family != AF_INET6) {
        memcpy(&four, address, sizeof four);
        return client_of_bytes(IPV4_CLIENT, &four.sin_addr, 4);
    }
    memcpy(&six, address, sizeof six);
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
        return client_of_bytes(IPV4_CLIENT, six.sin6_addr.s6_addr + 12, 4);
    return client_of_bytes(IPV6_CLIENT, six.sin6_addr.s6_addr, 8);
}

/* ---- Accounts; with the mutex --------------------------------------------------------------- */

static size_t row_of(const of_rates *rates, const of_client *client) {
    uint64_t mixed = rates->seed;
    for (size_t i = 0; i < sizeof client->bytes; i++) {
        mixed = (mixed ^ client->bytes[i]) * 0x9E3779B97F4A7C15U;
        mixed ^= mixed >> 29;
    }
    return (size_t)(mixed >> 32) % ROWS;
}

static double held_by(const of_rates *rates, const account *own, double now) {
    return own->used ? fmin(rates->most, own->images + rates->rate * (now - own->since))
                     : rates->most;
}

static account *account_of(of_rates *rates, const of_client *client, double now) {
    account *row = rates->accounts[row_of(rates, client)], *fullest = row;
    for (account *own = row; own < row + ROW_ACCOUNTS; own++) {
        if (own->used && memcmp(&own->client, client, sizeof *client) == 0)
            return own;
        if (held_by(rates, own, now) > held_by(rates, fullest, now))
            fullest = own;
    }
    *fullest = (account){.client = *client, .used = true, .images = rates->most, .since = now};
    return fullest;
}

static void take(const of_rates *rates, account *own, double images, double now) {
    own->images = held_by(rates, own, now) - images;
    own->since = now;
}

/* ---- Asking --------------------------------------------------------------------------------- */

double of_rates_ask(of_rates *rates, const of_client *client, double now) {
    if (rates == NULL)
        return 0;
    (void)pthread_mutex_lock(&rates->mutex);
    account *own = account_of(rates, client, now);
    double missing = 1 - held_by(rates, own, now);
    if (missing <= 0)
        take(rates, own, 1, now);
    (void)pthread_mutex_unlock(&rates->mutex);
    return missing > 0 ? missing / rates->rate : 0;
}

void of_rates_charge(of_rates *rates, const of_client *client, size_t images, double now) {
    if (rates == NULL)
        return;
    (void)pthread_mutex_lock(&rates->mutex);
    take(rates, account_of(rates, client, now), (double)images, now);
    (void)pthread_mutex_unlock(&rates->mutex);
}

/* ---- Making --------------------------------------------------------------------------------- */

of_status of_rates_create(double images, of_rates **rates, of_error *error) {
    *rates = NULL;
    if (images <= 0)
        return OF_OK;
    of_rates *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "accounts of clients");
    made->rate = images;
    made->most = fmax(1, SECONDS_WORTH * images);
    (void)!getrandom(&made->seed, sizeof made->seed, GRND_NONBLOCK);
    (void)pthread_mutex_init(&made->mutex, NULL);
    *rates = made;
    return OF_OK;
}

void of_rates_free(of_rates *rates) {
    if (rates == NULL)
        return;
    (void)pthread_mutex_destroy(&rates->mutex);
    free(rates);
}
