import type { ReactNode, Ref } from 'react';
import { useFormContext, useFormState } from 'react-hook-form';

import type { Problem } from '@/api/schema.gen.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Prose } from '@/ui/Prose.tsx';

import { errorList, fieldLabel, isField } from './errors.ts';
import { t } from './messages.ts';
import type { Values } from './schema.ts';

/** All that is wrong at one place; each line leads to its field. */
export function ErrorSummary({ problem, ref }: { problem: Problem | null; ref: Ref<HTMLDivElement> }): ReactNode {
  const { control, setFocus } = useFormContext<Values>();
  const { errors } = useFormState({ control });
  const list = errorList(errors);
  if (list.length === 0 && !problem) return null;
  return (
    <div ref={ref} tabIndex={-1} className="outline-none">
      <Banner kind="danger" live title={problem ? t('notCreated') : t('errors', { count: list.length })}>
        {problem && (
          <>
            {list.every(({ message }) => message !== problem.detail) && (
              <p>
                <Prose text={problem.detail} />
              </p>
            )}
            {problem.hint && (
              <p>
                <Prose text={problem.hint} />
              </p>
            )}
          </>
        )}
        <ul className="list-disc pl-5">
          {list.map(({ name, message }) => (
            <li key={name}>
              {isField(name) ? (
                <button
                  type="button"
                  className="min-h-6 text-left align-top text-accent hover:underline"
                  onClick={() => setFocus(name)}
                >
                  {fieldLabel(name)}: {message}
                </button>
              ) : (
                message
              )}
            </li>
          ))}
        </ul>
      </Banner>
    </div>
  );
}
