import { ApiError } from '../api/request.ts';

/** Writes a time as a field of the type `datetime-local` has it: in the user's zone, to the minute. */
export function toLocal(at: Date | string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return '';
  const two = (number: number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

/**
 * Reads the value of a field of the type `datetime-local`, and returns it as the API takes it.
 *
 * @throws ApiError about the field, if it has no time.
 */
export function fromLocal(field: string, text: string): string {
  const date = new Date(text);
  if (!Number.isNaN(date.getTime())) return date.toISOString();
  const message = 'must be a time';
  throw new ApiError(400, {
    title: 'The form is not complete',
    detail: `${field} ${message}`,
    errors: [{ field, message }],
  });
}
