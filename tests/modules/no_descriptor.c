/* A shared object that is no module. */
int no_descriptor(void);

int no_descriptor(void)
{
    return 1;
}
