import type { ReactNode } from 'react';

export function Logo({ size = 22 }: { size?: number }): ReactNode {
  return (
    <svg viewBox="0 0 24 24" width={size} height={size} aria-hidden className="shrink-0">
      <rect x="1.5" y="1.5" width="21" height="21" rx="5" fill="none" stroke="var(--accent)" strokeWidth="2" />
      <rect x="7" y="7" width="10" height="10" rx="2" fill="var(--mini)" />
    </svg>
  );
}
