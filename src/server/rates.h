/* SPDX-License-Identifier: Apache-2.0 */
/* How much each client may ask for: an account that fills at a steady rate, up to some seconds'
 * worth. A request is let in while there is an image's worth on it, and pays for all of its images
 * once they are counted: a large one leaves a debt, which its client waits out. */
#ifndef OF_SERVER_RATES_H
#define OF_SERVER_RATES_H

#include <outflow/outflow.h>

struct sockaddr;

typedef struct of_rates of_rates;

/* Who asks. */
typedef struct of_client {
    uint8_t bytes[9]; /* what kind of client, then who among those */
} of_client;

/* A client with an API key, by the key's place in their file. */
of_client of_client_of_key(size_t place);

/* Any other one, by its address; of IPv6 the network, because a client has all addresses of it. */
of_client of_client_of_address(const struct sockaddr *address);

/* `images`: a second, for each client; 0 sets `rates` to NULL, which limits nobody. */
of_status of_rates_create(double images, of_rates **rates, of_error *error);
/* NULL is allowed. */
void of_rates_free(of_rates *rates);

/* Takes an image from the client's account and returns 0; or the seconds after which there is one.
 * `now`: of_seconds(). Safe from any thread, as the next. */
double of_rates_ask(of_rates *rates, const of_client *client, double now);

/* Takes `images` more, whether they are there or not. */
void of_rates_charge(of_rates *rates, const of_client *client, size_t images, double now);

#endif
