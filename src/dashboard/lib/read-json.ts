import { ApiError } from '../api/request.ts';

/**
 * Reads JSON that a user has typed into a field.
 *
 * @throws ApiError about the field, as the API would refuse it.
 */
export function readJson(field: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `is not JSON: ${(error as Error).message}`;
    throw new ApiError(400, {
      title: 'The field is not JSON',
      detail: `${field} ${message}.`,
      errors: [{ field, message }],
    });
  }
}
