/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/label_order.h"

#include <stdio.h>
#include <string.h>

static bool is_class(const of_label_order *order, size_t number, const char *label) {
    return strncmp(order->names[number], label, OF_LABEL_ORDER_NAME - 1) == 0;
}

static bool is_known(const of_label_order *order, const char *label) {
    for (size_t i = 0; i < order->classes; i++)
        if (is_class(order, i, label))
            return true;
    return false;
}

void of_label_order_add(of_label_order *order, const char *label) {
    order->images++;
    if (order->mixed || (order->classes > 0 && is_class(order, order->classes - 1, label)))
        return;
    if (label[0] == '\0' || order->classes == OF_LABEL_ORDER_MOST || is_known(order, label)) {
        order->mixed = true;
        return;
    }
    (void)snprintf(order->names[order->classes++], OF_LABEL_ORDER_NAME, "%s", label);
}

bool of_label_order_is_sorted(const of_label_order *order) {
    return !order->mixed && order->classes > 0 && order->images >= 2 * order->classes;
}
