/**
 * The ends of the names of a fleet's buckets, which begin with `shoal-` and the name of the fleet. A fleet whose name had such an end would share a
 * bucket with the fleet whose name is the rest, so no fleet may be named so. No suffix may end with another one.
 */
export const BUCKET_SUFFIXES = { generations: '-generations', retentions: '-pins', actors: '-actors' } as const;
