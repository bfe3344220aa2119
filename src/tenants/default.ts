/** The tenant of everything for which no other is named. */
export const DEFAULT_TENANT = 'default';
