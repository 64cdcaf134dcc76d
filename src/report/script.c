/* SPDX-License-Identifier: Apache-2.0 */
#include "report/script.h"

const char of_script_sort[] =
    "document.querySelectorAll(\"table.sortable th button\").forEach(function(button){"
    "button.addEventListener(\"click\",function(){"
    "var heading=button.parentNode,row=heading.parentNode,body=row.parentNode.nextElementSibling;"
    "var column=Array.prototype.indexOf.call(row.children,heading);"
    "var sign=heading.getAttribute(\"aria-sort\")===\"descending\"?1:-1;"
    "var key=function(line){var cell=line.children[column];"
    "return cell.dataset.value===undefined?cell.textContent:Number(cell.dataset.value)};"
    "var compare=function(one,other){var a=key(one),b=key(other);"
    "return sign*(typeof a===\"number\"?a-b:a.localeCompare(b))};"
    "Array.prototype.forEach.call(row.children,function(other){other.removeAttribute(\"aria-sort\")"
    "});"
    "heading.setAttribute(\"aria-sort\",sign===1?\"ascending\":\"descending\");"
    "Array.from(body.children).sort(compare).forEach(function(line){body.appendChild(line)})})});";

const char of_script_sort_hash[] = "sha256-7XkCT0pYE3PUIb3kVJRa3Oiwm+pYX2Gx/W4s7BGY/ho=";
