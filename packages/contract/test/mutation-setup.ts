/** Property tests under Stryker: fewer runs each, for there are hundreds of mutants. */
import fc from "fast-check";

fc.configureGlobal({ numRuns: 30 });
