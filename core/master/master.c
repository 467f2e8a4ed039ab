/* The one master of this process. See master.h. */
#include "master/master.h"

struct master master;
