/** Words of letters, digits, _ and - with dots between them. */
export const TYPE_WORDS = '[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*';

/** What matches event types: a type, a prefix such as `order.*`, or `*`. `posthorn.event_type_patterns` has the meaning. */
export const EVENT_TYPE_PATTERN = `^(\\*|${TYPE_WORDS}(\\.\\*)?)$`;
export const MAX_PATTERN_LENGTH = 130;
