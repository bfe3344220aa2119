/** A token, such as the name of a header (RFC 9110, 5.6.2). */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** A character that may not be in the value of a header (RFC 9110, 5.5), such as a line feed. */
export const NO_TEXT = /[^\t\x20-\x7e\x80-\xff]/;
