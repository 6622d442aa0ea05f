import type { ImageSummary } from '@/api/schema.gen.ts';

const DEFAULT_REGISTRY = /^(docker\.io\/)?(library\/)?/;

function canonical(reference: string): string {
  const name = reference.trim().replace(DEFAULT_REGISTRY, '');
  const last = name.slice(name.lastIndexOf('/') + 1);
  return /[:@]/.test(last) ? name : `${name}:latest`;
}

/** Whether an image is among those of an engine, under a name, a digest or its id. */
export function hasImage(images: readonly ImageSummary[], reference: string): boolean {
  const wanted = canonical(reference);
  const id = reference.trim().replace(/^sha256:/, '');
  const isId = /^[0-9a-f]{12,64}$/.test(id);
  return images.some(
    (image) =>
      image.tags.some((tag) => canonical(tag) === wanted) ||
      image.digests.some((digest) => canonical(digest) === wanted) ||
      (isId && image.id.startsWith(`sha256:${id}`)),
  );
}
