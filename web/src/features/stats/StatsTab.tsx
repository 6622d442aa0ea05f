import type { ReactNode } from 'react';

export function StatsTab(): ReactNode {
  return null;
}
