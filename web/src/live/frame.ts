/** Runs listeners once per animation frame, however often they are marked. Hidden tabs paint nothing, so they wait. */
const marked = new Set<() => void>();
let scheduled = false;

function flush(): void {
  scheduled = false;
  const now = [...marked];
  marked.clear();
  for (const listener of now) listener();
}

export function nextFrame(listener: () => void): void {
  marked.add(listener);
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(flush);
}

/** Forgets a listener that was marked but must not run any more. */
export function cancelFrame(listener: () => void): void {
  marked.delete(listener);
}
