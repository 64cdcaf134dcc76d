/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_REPORT_STYLE_H
#define OF_REPORT_STYLE_H

/* CSS of charts, for a page and for an SVG alone; light and dark. The colours of sets differ in
 * lightness as well as hue, for people who do not tell all hues apart. */
extern const char of_style_charts[];

/* CSS of the page. */
extern const char of_style_page[];

#endif
