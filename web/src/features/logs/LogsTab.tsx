import type { ReactNode } from 'react';

export function LogsTab(): ReactNode {
  return null;
}
